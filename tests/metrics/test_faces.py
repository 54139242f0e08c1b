"""Images read in parts give the numbers of all at once, and hold little."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from stages.auditing import measures
from stages.common import sphere
from stages.metrics import faces
from stages.metrics.faces import Faces


def images(count: int, people: int, d: int, seed: int = 0) -> Faces:
    rng = np.random.default_rng(seed)
    identity = rng.permutation(np.arange(count) % people)
    return Faces(rng.standard_normal((count, d)).astype(np.float32) * rng.uniform(1, 9, (count, 1)), identity)


@pytest.fixture(params=[3, 1024])
def parts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faces, "PART", request.param)


@pytest.mark.usefixtures("parts")
def test_sums_and_cosines_are_those_of_all_rows_at_once_to_the_last_bit():
    some = images(100, 7, 33)
    x, total = sphere.unit_rows(some.x), np.zeros((7, 33))
    np.add.at(total, some.identity, x)
    assert np.array_equal(some.total, total)
    centres = sphere.unit_rows(total)
    assert np.array_equal(some.to_centre, np.einsum("bd,bd->b", x, centres[some.identity]))
    others = sphere.unit_rows(total[some.identity] - x)
    assert np.array_equal(some.to_the_others, np.einsum("bd,bd->b", x, others))
    assert np.array_equal(some.unit(np.array([5, 2])), x[[5, 2]])
    half = np.arange(100) % 2 == 0
    assert np.array_equal(some.sums(half), Faces(some.x[half], some.identity[half]).total)


@pytest.mark.usefixtures("parts")
def test_who_has_one_image_has_no_others():
    x = np.eye(4, dtype=np.float32)[[0, 1, 2, 3]]
    some = Faces(x, np.array([0, 1, 0, 2]))
    assert some.several.tolist() == [True, False, True, False] and some.to_the_others.tolist() == [0, 0]


def test_the_nearest_are_those_of_all_rows_at_once(monkeypatch: pytest.MonkeyPatch):
    some, rows = images(100, 7, 5), sphere.unit_rows(np.random.default_rng(1).standard_normal((30, 5)))
    monkeypatch.setattr(faces, "COMPARED", 16)
    assert np.allclose(some.nearest(rows), (sphere.unit_rows(some.x) @ rows.T).max(1), atol=1e-6)


def test_a_folder_of_rows_is_measured_without_holding_it(tmp_path: Path):
    """The file has 8 MB; what the measures hold is for each image a few numbers, and one part."""
    many = images(32_000, 100, 64)
    np.save(tmp_path / "x.npy", many.x.astype(np.float32))
    mapped = Faces(np.load(tmp_path / "x.npy", mmap_mode="r"), many.identity)
    measures.spread(images(10, 2, 3), 0)  # what is loaded once
    tracemalloc.start()
    measures.kept(mapped, 0.1)
    measures.separation(mapped)
    measures.spread(mapped, 0)
    measures.fidelity(mapped, mapped.centres, 0)
    measures.judged(mapped, np.arange(32_000) // 100, 0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3.5e6
