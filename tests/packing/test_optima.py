"""Without a gallery term: proven optima, by formula or by search, through the public call."""

import math
from dataclasses import replace

import numpy as np
import pytest

from stages.common import sphere
from stages.metrics.bounds import lower_bound
from stages.pack import pack
from stages.packing import closed_forms
from stages.settings.pack import Pack

CFG = Pack(
    method="hyperface", identities=24, alpha=0.0, separation="closest", start="selected", iterations=1, tolerance=0,
    max_cosine=0.5, crowded_cosine=0.5, seed=0,
)  # fmt: skip


def closest(m: int, d: int, **settings) -> float:
    """Return the cosine of the closest pair that hyperface reaches beside a gallery of a few crowded rows."""
    x_ref = sphere.unit_rows(np.random.default_rng(1).standard_normal((5, d)) + 3)
    x = pack(x_ref, replace(CFG, identities=m, **settings))
    assert x.shape == (m, d) and np.abs(np.linalg.norm(x, axis=1) - 1).max() < 1e-6
    return float(sphere.nearest(x)[1].max())


@pytest.mark.parametrize(
    ("m", "d"), [(2, 2), (3, 2), (7, 2), (2, 3), (4, 3), (5, 3), (6, 3), (9, 8), (16, 8), (513, 512), (1024, 512)]
)
@pytest.mark.parametrize("reading", ["closest", "mean"])
def test_simplex_orthoplex_and_polygon_attain_the_bound(m, d, reading):
    assert closest(m, d, separation=reading) == pytest.approx(lower_bound(m, d), abs=5e-7)


def test_simplex_has_one_cosine_and_no_centre():
    x = closed_forms.simplex(9)
    assert np.abs(x @ x.T - (9 / 8 * np.eye(9) - 1 / 8)).max() < 1e-14
    assert np.abs(x.sum(axis=0)).max() < 1e-14


# Each root meets 2 h - 4 others at 60 degrees, h the Coxeter number (Bourbaki, Lie groups, chapter 6, section 1.11)
@pytest.mark.parametrize(("d", "coxeter"), [(4, 6), (5, 8), (6, 12), (7, 18), (8, 30)])
def test_root_systems_have_cosines_of_halves_only(d, coxeter):
    x = closed_forms.roots(d)
    cos = x @ x.T
    assert x.shape == (d * coxeter, d) and np.linalg.matrix_rank(x) == d
    assert np.abs(2 * cos - np.round(2 * cos)).max() < 1e-14
    assert [(np.round(2 * cos) == two).sum(1).tolist() for two in (2, 1, -2)] == [
        [count] * len(x) for count in (1, 2 * coxeter - 4, 1)
    ]
    for reading in ("closest", "mean"):
        assert closest(d * coxeter, d, separation=reading) == pytest.approx(0.5, abs=3e-7)


@pytest.mark.parametrize(("m", "d"), [(23, 4), (71, 6), (239, 8)])
def test_what_is_left_of_a_root_system_is_no_closer(m, d):
    assert closest(m, d) <= 0.5 + 3e-7


# Icosahedron, snub cube, 600-cell, the sharp codes of 16, 27 and 56; Sloane's table of spherical codes (nearest
# neighbours in degrees) for 9, 10 and 32 points
@pytest.mark.parametrize(
    ("m", "d", "degrees"),
    [
        (12, 3, math.degrees(math.atan(2))), (24, 3, 43.6908), (9, 3, 70.5288), (10, 3, 66.1468), (32, 3, 37.4752),
        (120, 4, 36), (16, 5, 78.4630), (27, 6, 75.5225), (56, 7, 70.5288),
    ],
)  # fmt: skip
def test_low_dimensions_reach_the_known_optima(m, d, degrees):
    assert math.degrees(math.acos(closest(m, d))) == pytest.approx(degrees, abs=0.005)


def test_another_seed_reaches_the_same_optimum_by_other_rows():
    x_ref = sphere.unit_rows(np.random.default_rng(1).standard_normal((24, 3)))
    first, again, second = (pack(x_ref, replace(CFG, seed=seed)) for seed in (0, 0, 1))
    assert np.array_equal(first, again) and np.abs(first - second).max() > 0.1
    assert sphere.nearest(first)[1].max() == pytest.approx(sphere.nearest(second)[1].max(), abs=1e-5)


def test_the_rotation_is_uniform():
    x = np.array([closed_forms.optimum(2, 3, seed)[0] for seed in range(600)])
    assert np.abs(x.mean(axis=0)).max() < 0.1
    assert np.abs(x.T @ x / 600 - np.eye(3) / 3).max() < 0.06
