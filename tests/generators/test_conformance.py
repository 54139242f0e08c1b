"""What every generator does, whatever its backend. A backend is a function here that returns it with rows to draw."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny import ROOT, data_at, working_in

from stages import generators
from stages.common import params, sphere
from stages.common.world import World
from stages.generators import Generator
from stages.settings.generate import Generate
from stages.tools import standin

WORLD = replace(params.load("world", World, ROOT / "params.yaml"), size_px=48)
CFG = replace(params.load("generate", Generate, ROOT / "params.yaml"), refine_steps=2)
SIZE = 7  # rows drawn; not a multiple of a batch
Made = tuple[Generator, int]  # and the size of its rows


def embedded(folder: Path) -> Made:
    with working_in(ROOT):
        return generators.load(CFG, WORLD), 128


def arc2face(folder: Path) -> Made:
    standin.arc2face(folder, "tiny")
    cfg = replace(CFG, backend="arc2face", weights=folder.name, diffusion=replace(CFG.diffusion, steps=2, batch=3))
    with data_at(folder.parent):
        return generators.load(cfg, WORLD), 512


def vec2face(folder: Path) -> Made:
    standin.vec2face(folder, "tiny")
    with data_at(folder.parent):
        return generators.load(replace(CFG, backend="vec2face", weights=folder.name), WORLD), 512


BACKENDS: list[Callable[[Path], Made]] = [embedded, arc2face, vec2face]

# diffusers itself calls numpy in the way of old
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module", params=BACKENDS, ids=lambda loaded: loaded.__name__)
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    return request.param(tmp_path_factory.mktemp("weights") / "folder")


@pytest.fixture(scope="module")
def generator(loaded: Made) -> Generator:
    return loaded[0]


@pytest.fixture(scope="module")
def x(loaded: Made) -> np.ndarray:
    return sphere.unit_rows(np.random.default_rng(1).standard_normal((SIZE, loaded[1])))


@pytest.fixture(scope="module")
def condition(generator: Generator, x: np.ndarray) -> np.ndarray:
    return generator.condition(x, np.full(SIZE, 20, np.float32), np.arange(SIZE))


SEEDS = np.arange(SIZE, dtype=np.int64) + 2**61  # as large as those of images


@pytest.fixture(scope="module")
def faces(generator: Generator, condition: np.ndarray) -> np.ndarray:
    return generator.generate(condition, SEEDS)


def test_faces_are_rgb_bytes_of_the_size_of_the_world(generator: Generator, faces: np.ndarray):
    assert faces.shape == (SIZE, WORLD.size_px, WORLD.size_px, 3) and faces.dtype == np.uint8
    assert all(face.std() > 5 for face in faces)
    assert generator.domain and isinstance(generator.domain, str)


def test_the_same_seed_draws_the_same_face(generator: Generator, condition: np.ndarray, faces: np.ndarray):
    assert np.array_equal(generator.generate(condition, SEEDS), faces)


def test_another_seed_or_another_row_draws_another_face(generator: Generator, condition: np.ndarray, faces: np.ndarray):
    assert (generator.generate(condition[:2], SEEDS[:2] + 100) != faces[:2]).any((1, 2, 3)).all()
    assert (generator.generate(condition[1:3], SEEDS[:2]) != faces[:2]).any((1, 2, 3)).all()


def test_a_face_does_not_depend_on_the_others(generator: Generator, condition: np.ndarray, faces: np.ndarray):
    order = np.random.default_rng(0).permutation(SIZE)
    assert np.array_equal(generator.generate(condition[order], SEEDS[order]), faces[order])
    alone = [generator.generate(condition[i : i + 1], SEEDS[i : i + 1])[0] for i in range(SIZE)]
    assert np.array_equal(np.stack(alone), faces)


def test_conditions_are_float32_rows_that_do_not_depend_on_the_others(
    generator: Generator, x: np.ndarray, condition: np.ndarray
):
    assert condition.ndim == 2 and len(condition) == SIZE and condition.dtype == np.float32
    back = generator.condition(x[::-1].copy(), np.full(SIZE, 20, np.float32), np.arange(SIZE)[::-1].copy())
    assert np.allclose(back[::-1], condition, atol=1e-5)


def test_a_perturbed_row_has_a_condition_of_its_own(generator: Generator, x: np.ndarray, condition: np.ndarray):
    near = sphere.unit_rows(x + 0.02 * np.random.default_rng(2).standard_normal(x.shape))
    moved = generator.perturbed(condition, x, near)
    assert moved.shape == condition.shape and moved.dtype == np.float32
    assert (np.abs(moved - condition).max(1) > 1e-3).all()
    assert np.allclose(generator.perturbed(condition, x, x), condition, atol=1e-5)


def test_a_mixed_condition_lies_between_two(generator: Generator, condition: np.ndarray):
    a, b = condition[:3], condition[3:6]
    mixed = generator.mixed(a, b, np.array([1, 0, 0.5], np.float32))
    assert mixed.shape == a.shape and mixed.dtype == np.float32
    assert np.allclose(mixed[0], a[0], atol=1e-5) and np.allclose(mixed[1], b[1], atol=1e-5)
    assert np.abs(mixed[2] - a[2]).max() > 1e-2 and np.abs(mixed[2] - b[2]).max() > 1e-2
