"""The objective at arrangements whose closest pair is known, and against the full matrix."""

import numpy as np
import pytest

from stages.common import sphere
from stages.packing import collectives, neighbours, tiles
from stages.packing import objective as objectives
from stages.packing.objective import combine, gallery_cosines, objective
from stages.packing.random_start import start


def test_simplex_and_its_own_gallery():
    x = sphere.unit_rows(np.eye(5) - 1 / 5)
    terms = objective(x, x, 0.5, "closest")
    assert terms.separation == pytest.approx(-1 / 4, abs=1e-6)
    assert terms.gallery_term == pytest.approx(0, abs=1e-6)


def test_equals_the_full_matrix_beyond_one_tile(monkeypatch):
    monkeypatch.setattr(sphere, "TILE", 7)
    rng = np.random.default_rng(0)
    x, x_ref = (sphere.unit_rows(rng.standard_normal((n, 6))) for n in (30, 11))
    cos = x @ x.T - 3 * np.eye(30)
    for reading, separation in (("closest", cos.max()), ("mean", cos.max(axis=1).mean())):
        expected = separation + 0.7 * (1 - (x @ x_ref.T).max(axis=1)).mean()
        assert objective(x, x_ref, 0.7, reading).value == pytest.approx(expected, abs=1e-6)


def test_readings_differ_and_alpha_weighs():
    nearest, gallery = np.array([0.1, 0.3, 0.3]), np.array([0.5, 1.0, 0.9])
    assert combine(nearest, gallery, 0.5, "closest").value == pytest.approx(0.3 + 0.5 * 0.2)
    assert combine(nearest, gallery, 0.0, "mean").value == pytest.approx(0.7 / 3)


def test_start_takes_distinct_rows_and_parts_equal_ones():
    x_ref = np.eye(6, dtype=np.float32)
    few = start(x_ref, 4, seed=0)
    assert np.array_equal(np.sort(few.argmax(axis=1)), np.unique(few.argmax(axis=1)))
    assert set(few.ravel().tolist()) == {0.0, 1.0}
    many = start(np.concatenate([x_ref, x_ref]), 40, seed=0)
    assert len(np.unique(many, axis=0)) == 40
    assert (many == 1).any(axis=1).sum() == 6
    assert np.median(sphere.nearest(many, x_ref)[1]) > 0.8


def test_rows_of_the_gallery_are_known_by_their_numbers(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(neighbours, "TILE", 7)
    x_ref = sphere.unit_rows(np.random.default_rng(0).standard_normal((40, 6)))
    x_ref[30, :2] = x_ref[4, :2]  # found by their first numbers, told apart by the others
    wanted = np.random.default_rng(1).permutation(40)[:25]
    x = x_ref[wanted]
    x[::3, -1] += 1e-3
    found = neighbours.equal_rows(x, x_ref)
    assert np.array_equal(found[::3], [-1] * 9)
    same = np.arange(25) % 3 > 0
    assert np.array_equal(found[same & (wanted != 30)], wanted[same & (wanted != 30)])
    assert (neighbours.equal_rows(-x, x_ref) == -1).all()


def test_gallery_rows_among_many_others_are_not_searched_for(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tiles, "TILE", 8)
    monkeypatch.setattr(collectives, "TILE", 8)
    rng, searched = np.random.default_rng(0), []
    x_ref, others = (sphere.unit_rows(rng.standard_normal((n, 6))) for n in (50, 9))
    x = np.concatenate([x_ref[10:20], others, x_ref[30:]])

    def nearest_gallery(x: np.ndarray, x_ref: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        searched.append(x)
        return neighbours.nearest_gallery(x, x_ref)

    monkeypatch.setattr(objectives, "nearest_gallery", nearest_gallery)
    assert gallery_cosines(x, x_ref) == pytest.approx((x @ x_ref.T).max(axis=1), abs=1e-6)
    assert len(searched) == 1 and np.array_equal(searched[0], others)
