"""Pretraining: the parts on known answers, and what the committed networks claim."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import ROOT, working_in
from torch import nn

from stages import generators
from stages.attributes import pose as reader
from stages.common import artifacts, networks, params, sphere, verification
from stages.common.world import World
from stages.generators.embedded import EmbeddedGenerator
from stages.pretrain import RECIPES
from stages.pretraining import inversion, pose, recognition
from stages.settings.generate import Generate
from stages.settings.pretrain import Pretrain
from stages.training import heads, transform
from stages.world import identity
from stages.world.album import Album, portraits

PRETRAINED = Path(__file__).parent.parent / "data" / "pretrain"


def test_an_epoch_shows_whole_batches_of_different_faces():
    one, other = (np.concatenate(recognition._batches(200, [0, epoch])) for epoch in (0, 1))
    assert len(one) == len(set(one)) == 192 and not np.array_equal(one, other)


@dataclass
class Watched:
    """What network and head saw in a training."""

    recipe: recognition.Recipe
    head: heads.MarginHead
    margins: list[float]
    x: np.ndarray


@pytest.fixture(scope="module", params=RECIPES)
def watched(request: pytest.FixtureRequest) -> Watched:
    """Fit ten batches of one dot, at column 40 and row 32, under 20 names."""
    y, x = np.mgrid[:64, :64]
    dot = (255 * np.exp(-((x - 40) ** 2 + (y - 32) ** 2) / 18)).astype(np.uint8)
    faces = np.broadcast_to(dot[..., None], (640, 64, 64, 3))
    recipe, cfg = RECIPES[request.param], params.load("pretrain", Pretrain, ROOT / "params.yaml")
    net, found, margins, batches = networks.build(recipe.card()), [], [], []
    net.register_forward_pre_hook(lambda _, inputs: batches.append(inputs[0].numpy()))

    def load(*args: Any, **kwargs: Any) -> heads.MarginHead:
        found.append(real(*args, **kwargs))
        found[0].register_forward_hook(lambda head, *_: margins.append(head.margin))
        return found[0]

    with pytest.MonkeyPatch.context() as patch:
        real = heads.load
        patch.setattr(heads, "load", load)
        recognition.fit(net, recipe, faces, np.arange(640) % 20, 1, cfg)
    return Watched(recipe, found[0], margins, np.concatenate(batches))


def test_the_head_is_the_recipes_and_its_margin_grows_from_zero(watched: Watched):
    recipe, head = watched.recipe, watched.head
    assert type(head).__name__.lower() == recipe.loss and head.scale == recipe.scale
    assert head.weight.shape == (20, recognition.EMBEDDING_SIZE)
    grown = np.minimum(1, np.arange(10) / (recognition.WARM_UP * 10))
    assert watched.margins == pytest.approx(recipe.margin * grown)


def test_the_network_sees_half_of_the_faces_mirrored_and_all_moved_by_less_than_a_pixel_or_two(watched: Watched):
    light = watched.x.mean(1)
    light = light - light.min((1, 2), keepdims=True)
    y, x = np.mgrid[:64, :64]
    at_x, at_y = ((light * axis).sum((1, 2)) / light.sum((1, 2)) for axis in (x, y))
    mirrored = at_x < 31.5
    assert 0.4 < mirrored.mean() < 0.6
    assert np.where(mirrored, 63 - at_x, at_x).mean() == pytest.approx(40, abs=0.2)
    assert at_y.std() == pytest.approx(recognition.JITTER * transform.SHIFT * 64, rel=0.15)


def test_unseen_accuracy_is_high_for_a_network_that_knows_faces_and_a_guess_for_one_that_does_not():
    whole = params.load("pretrain", Pretrain, ROOT / "params.yaml")
    cfg = replace(whole, people=replace(whole.people, unseen=12), seed=1)
    recipe = RECIPES["recogniser"]
    net = networks.load(PRETRAINED / "recogniser").net
    assert recognition.unseen_accuracy(net, recipe, cfg) > 0.95
    nn.init.zeros_(net.get_parameter("project.weight"))  # now all faces are one
    assert recognition.unseen_accuracy(net, recipe, cfg) == pytest.approx(0.5, abs=0.02)


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
    cfg = params.load("pretrain", Pretrain, ROOT / "params.yaml")
    cfg = replace(cfg, epochs=replace(cfg.epochs, pose=40))
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
    cfg = params.load("pretrain", Pretrain, ROOT / "params.yaml")
    cfg = replace(cfg, epochs=replace(cfg.epochs, inverter=20))
    net, cosine = inversion.fit(x, z, cfg)
    found = nn.functional.cosine_similarity(net(x), z).detach()
    assert found[:380].mean() > 0.9 and cosine == pytest.approx(found[380:].mean().item(), abs=1e-4)
    assert cosine < -0.5 and not net.training


@pytest.fixture(scope="module")
def people() -> Album:
    return portraits("test-networks", 0, 12, 3, "wild", 0.4)


@pytest.mark.parametrize("name", ["recogniser", "judge"])
def test_the_committed_networks_know_people_of_this_world(name: str, people: Album):
    net = networks.load(PRETRAINED / name)
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
    assert cosine.mean() > 0.8 * artifacts.read_json(PRETRAINED / "inverter" / artifacts.CARD)["cosine"]
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
    assert (PRETRAINED / name / artifacts.WEIGHTS).stat().st_size < 3e6
    tensors, card = artifacts.read_weights(PRETRAINED / name)
    assert tensors and card["population"] == {"recogniser": "pretrain"}.get(name, name)
    assert name == "inverter" or card["unseen_accuracy"] >= 0.94
