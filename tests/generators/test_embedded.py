"""The embedded generator: what refinement gains, and what its conditions do."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny import ROOT, working_in

from stages import generators
from stages.common import params, sphere
from stages.common.errors import InputError
from stages.common.world import World
from stages.generators.embedded import EmbeddedGenerator
from stages.settings.generate import Generate
from stages.world import identity, style

PEOPLE = 4
SEEDS = np.arange(PEOPLE)


def generator(steps: int) -> EmbeddedGenerator:
    cfg = replace(params.load("generate", Generate, ROOT / "params.yaml"), refine_steps=steps)
    world = replace(params.load("world", World, ROOT / "params.yaml"), size_px=64)
    with working_in(ROOT):
        loaded = generators.load(cfg, world)
    assert isinstance(loaded, EmbeddedGenerator)
    return loaded


@pytest.fixture(scope="module")
def x() -> np.ndarray:
    """Return rows of people's faces and some noise: near ones that no face has, as packed rows are."""
    inverse = generator(0)
    faces = inverse.generate(identity.sample("test-embedded", 0, range(PEOPLE)).numpy(), SEEDS)
    noise = 0.06 * np.random.default_rng(0).standard_normal((PEOPLE, 128))
    return sphere.unit_rows(sphere.unit_rows(inverse.recogniser.embed(faces)) + noise)


def test_refinement_brings_the_faces_nearer_their_rows_in_a_new_style_each_step(x, monkeypatch):
    drawn, sample = [], style.sample

    def watched(seeds: np.ndarray, domain: str, spread: float) -> torch.Tensor:
        drawn.append(seeds.tolist())
        return sample(seeds, domain, spread)

    fit = []
    for steps in (0, 4):
        backend = generator(steps)
        with monkeypatch.context() as patch:
            patch.setattr(style, "sample", watched)
            condition = backend.condition(x, np.ones(PEOPLE), SEEDS)
        rows = [
            sphere.unit_rows(backend.recogniser.embed(backend.generate(condition, SEEDS + 100 * k))) for k in range(3)
        ]
        fit.append(np.mean([(x_drawn * x).sum(1) for x_drawn in rows], 0))
        assert np.abs(condition).max() < 6  # people as there are, and not what an optimiser may come to
    assert (fit[1] - fit[0]).mean() > 0.04 and (fit[1] > fit[0]).mean() > 0.8
    assert drawn == [(SEEDS + step).tolist() for step in range(4)]


def test_perturbing_adds_what_the_inverter_sees_and_keeps_what_refinement_added(x):
    backend = generator(0)
    near = sphere.unit_rows(x + 0.02 * np.random.default_rng(2).standard_normal(x.shape))
    moved = backend.perturbed(backend.invert(x).numpy() + 0.5, x, near)
    assert np.allclose(moved, backend.invert(near).numpy() + 0.5, atol=1e-5)


def test_mixed_people_are_the_ratio_of_the_first_and_the_rest_of_the_second(x):
    backend = generator(0)
    a, b = np.zeros((3, 4), np.float32), np.ones((3, 4), np.float32)
    assert np.allclose(backend.mixed(a, b, np.array([0, 0.3, 1])), np.array([[1], [0.7], [0]]), atol=1e-6)


def test_a_row_of_another_network_is_refused(x):
    with pytest.raises(InputError, match="allowed: 128 with generate.backend = 'embedded'") as error:
        generator(0).invert(x[:, :64])
    assert (error.value.file, error.value.value) == ("data/pack", 64)
