"""Pretraining: the parts on known answers, and what the committed networks claim."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import ROOT, working_in
from torch import nn

from stages import generators
from stages.attributes import pose as reader
from stages.common import artifacts, networks, params, sphere
from stages.generators.embedded import EmbeddedGenerator
from stages.metrics import verification
from stages.pretrain import RECIPES
from stages.pretraining import inversion, pose, recognition
from stages.settings.generate import Generate
from stages.settings.pretrain import Pretrain
from stages.settings.world import World
from stages.training import heads
from stages.world import identity
from stages.world.album import Album, portraits

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


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_the_margin_is_that_of_the_head_of_its_name(recipe: recognition.Recipe):
    """`stages.heads` has the same two losses, tested on their own."""
    x, label = torch.randn(16, 8), torch.arange(16) % 5
    head = heads.load(recipe.loss, 5, 8, recipe.scale, 0.2)
    found = recognition.margin_softmax(x, head.weight, label, recipe, 0.2)
    assert found.item() == pytest.approx(head(x, label, label, torch.ones(16)).mean().item(), abs=1e-3)


@pytest.mark.parametrize("seed", range(3))
def test_ten_fold_accuracy_is_that_of_the_protocols(seed: int):
    rng = np.random.default_rng(seed)
    same = rng.random(300) < 0.5
    score = rng.normal(0, 0.3, 300) + 0.5 * same + np.repeat(rng.normal(0, 0.3, 10), 30)  # folds differ in height
    expected, _ = verification.ten_fold_accuracy(score, same, np.repeat(np.arange(10), 30))
    assert recognition._ten_fold(score, same) == pytest.approx(expected, abs=0.01)


def test_an_epoch_shows_whole_batches_of_different_faces():
    one, other = (np.concatenate(recognition._batches(200, [0, epoch])) for epoch in (0, 1))
    assert len(one) == len(set(one)) == 192 and not np.array_equal(one, other)


def test_jitter_mirrors_half_and_shifts_by_a_pixel_or_two():
    y, x = np.mgrid[:64, :64]
    dot = 255 * np.exp(-((x - 40) ** 2 + (y - 32) ** 2) / 18)
    faces = torch.from_numpy(np.repeat(dot.astype(np.uint8)[None, :, :, None], 600, 0).repeat(3, 3))
    moved = recognition.jitter(faces, np.random.default_rng(0)).numpy()[..., 0]
    at_x, at_y = ((moved * axis).sum((1, 2)) / moved.sum((1, 2)) for axis in (x, y))
    mirrored = at_x < 31.5
    assert 0.4 < mirrored.mean() < 0.6
    assert np.where(mirrored, 63 - at_x, at_x).mean() == pytest.approx(40, abs=0.2)
    assert at_y.std() == pytest.approx(64 / 112, rel=0.15)


class Halves(nn.Module):
    """A linear map of how bright the left, right, upper and lower parts are, to yaw and pitch."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 8 * self.last(nn.functional.adaptive_avg_pool2d(x, 2).flatten(1))


def test_a_mirrored_head_looks_to_the_other_side_and_not_down():
    pose_deg = np.random.default_rng(0).uniform(-1, 1, (256, 2)) * pose.REACH_DEG
    y, x = np.mgrid[-1:1:16j, -1:1:16j]
    faces = 128 + pose_deg[:, :1, None] * x + 2 * pose_deg[:, 1:, None] * y
    faces = np.repeat(faces.round().astype(np.uint8)[..., None], 3, 3)
    cfg = replace(params.load("pretrain", Pretrain, ROOT / "params.yaml"), pose_epochs=40)
    torch.manual_seed(0)
    net = Halves()
    pose.fit(net, faces, pose_deg, cfg)
    found = pose.UNIT_DEG * net(networks.standardised(faces, "grey")).detach().numpy()
    slope = (found * pose_deg).sum(0) / (pose_deg**2).sum(0)  # not 1: standardising takes a face's contrast away
    assert slope.min() > 0.6 and not net.training


def test_faces_are_posed_as_said_over_the_whole_reach():
    cfg = params.load("pretrain", Pretrain, ROOT / "params.yaml")
    faces, pose_deg = pose._posed("test-pose", cfg, 24, "studio", 0.2)
    assert (np.abs(pose_deg) <= pose.REACH_DEG).all()
    assert (pose_deg.max(0) > 0.6 * pose.REACH_DEG).all() and (pose_deg.min(0) < -0.6 * pose.REACH_DEG).all()
    with working_in(ROOT), torch.no_grad():
        found = reader.load().degrees(torch.from_numpy(faces).float()).numpy()
    assert np.abs(found - pose_deg).mean() < 5 and np.corrcoef(found[:, 1], pose_deg[:, 1])[0, 1] > 0.9


def test_the_inverter_fits_and_is_judged_on_people_it_has_not_seen():
    rng = np.random.default_rng(0)
    x = torch.from_numpy(sphere.unit_rows(rng.standard_normal((400, 8))))
    z = 3 * x[:, :4]
    z[380:] *= -1  # the last twentieth, held out, are others
    cfg = replace(params.load("pretrain", Pretrain, ROOT / "params.yaml"), inverter_epochs=20)
    net, cosine = inversion.fit(x, z, cfg)
    found = nn.functional.cosine_similarity(net(x), z).detach()
    assert found[:380].mean() > 0.9 and cosine == pytest.approx(found[380:].mean().item(), abs=1e-4)
    assert cosine < -0.5 and not net.training


@pytest.fixture(scope="module")
def people() -> Album:
    return portraits("test-networks", 0, 12, 3, "wild", 0.4)


@pytest.mark.parametrize("name", ["recogniser", "judge"])
def test_the_committed_networks_know_people_of_this_world(name: str, people: Album):
    net = networks.load(PRETRAINED / f"{name}.safetensors")
    x = sphere.unit_rows(net.embed(people.faces(slice(None), recognition.SIZE_PX)))
    same = people.rows.identity[:, None] == people.rows.identity
    above = np.triu(np.ones_like(same), 1)
    cosine = x @ x.T
    assert verification.auc(cosine[same & above], cosine[~same & above]) > 0.93


def test_the_committed_inverter_finds_people_from_their_rows():
    album = portraits("test-inverter", 0, 40, 1, "studio", 0.2)
    with working_in(ROOT):
        generator = generators.load(params.load("generate", Generate), params.load("world", World))
    assert isinstance(generator, EmbeddedGenerator)
    x = sphere.unit_rows(generator.recogniser.embed(album.faces(slice(None), recognition.SIZE_PX)))
    z = identity.bounded(album.z)
    cosine = nn.functional.cosine_similarity(generator.invert(x), z)
    assert cosine.mean() > 0.8 * artifacts.read_json(PRETRAINED / "inverter.json")["cosine"]
    others = nn.functional.cosine_similarity(generator.invert(x), z.roll(1, 0))
    assert cosine.mean() > others.mean() + 0.2


def test_a_network_learns_ten_people(chain: Path):
    cfg = params.load("pretrain", Pretrain, chain / "params.yaml")
    album = portraits("test-pretrain", 0, 10, 8, "wild", 0.2)
    faces = album.faces(slice(None), recognition.SIZE_PX)
    recipe = RECIPES["recogniser"]
    torch.manual_seed(0)
    net = networks.build(recipe.card())
    recognition.fit(net, recipe, faces, album.rows.identity, 40, cfg)
    x = sphere.unit_rows(networks.Embedded(net, recipe.card()).embed(faces))
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
