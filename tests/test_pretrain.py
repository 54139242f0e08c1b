"""Pretraining: the parts on known answers, and what the committed networks claim."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from stages.common import artifacts, params, sphere
from stages.pretrain import RECIPES
from stages.pretraining import recognition
from stages.recognisers import embedded
from stages.settings.pretrain import Pretrain
from stages.world.album import portraits

PRETRAINED = Path(__file__).parent.parent / "data" / "pretrain"


def test_the_margin_lowers_the_target_logit_only():
    x, centres = torch.eye(4)[:2], torch.eye(4)
    label = torch.tensor([0, 1])
    for name, recipe in RECIPES.items():
        plain = nn.functional.cross_entropy(recipe.scale * x @ centres.T, label)
        assert recognition.margin_softmax(x, centres, label, recipe, 0.0) == pytest.approx(plain.item(), abs=1e-4), name
        assert recognition.margin_softmax(x, centres, label, recipe, 0.3) > plain


def test_jitter_keeps_the_face_in_place_and_depends_on_the_generator_alone():
    faces = torch.from_numpy(np.random.default_rng(0).integers(0, 255, (4, 32, 32, 3)).astype(np.uint8))
    one, two, other = (recognition.jitter(faces, np.random.default_rng(s)) for s in (0, 0, 1))
    assert torch.equal(one, two) and not torch.equal(one, other)
    assert one.min() >= 0 and one.max() <= 255


def test_ten_fold_accuracy_is_one_when_scores_separate():
    same = np.tile([True, False], 100)
    assert recognition._ten_fold(np.where(same, 0.9, 0.1), same) == 1.0
    assert recognition._ten_fold(np.full(200, 0.5), same) == pytest.approx(0.5)


def test_a_network_learns_ten_people(chain: Path):
    cfg = params.load("pretrain", Pretrain, chain / "params.yaml")
    album = portraits("test-pretrain", 0, 10, 8, "wild", 0.2)
    faces = album.faces(slice(None), recognition.SIZE_PX)
    recipe = RECIPES["recogniser"]
    torch.manual_seed(0)
    net = embedded.build(recipe.card())
    recognition.fit(net, recipe, faces, album.rows.identity, 40, cfg)
    x = sphere.unit_rows(embedded.Embedded(net, recipe.card()).embed(faces))
    cosine = x @ x.T
    same = album.rows.identity[:, None] == album.rows.identity
    assert cosine[same].mean() - cosine[~same].mean() > 0.3


def test_the_two_recognisers_share_nothing():
    recogniser, judge = RECIPES.values()
    for field in ("population", "architecture", "loss", "colour"):
        assert getattr(recogniser, field) != getattr(judge, field), field


@pytest.mark.parametrize("name", ["recogniser", "judge", "inverter"])
def test_the_committed_networks_are_small_and_as_good_as_they_must_be(name: str):
    file = PRETRAINED / f"{name}.safetensors"
    assert file.stat().st_size < 3e6
    tensors, card = artifacts.read_weights(file)
    assert tensors and card["population"] == {"recogniser": "pretrain"}.get(name, name)
    assert name == "inverter" or card["unseen_accuracy"] >= 0.94
