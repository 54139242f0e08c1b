"""Without a gallery term: rows in orbits of cyclic shifts."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from packing.instances import gallery
from packing.test_hyperface import CFG

from stages import pack
from stages.common import sphere
from stages.packing import orbits

FREE = replace(CFG, identities=300, alpha=0.0, tolerance=2e-4, iterations=600)


@pytest.mark.parametrize(
    ("m", "d", "count"), [(10_000, 512, 32), (2000, 128, 16), (600, 96, 12), (300, 32, 4), (99, 512, 1), (5000, 7, 1)]
)
def test_an_orbit_divides_the_dimensions_and_leaves_enough_of_them(m: int, d: int, count: int):
    assert orbits.size(m, d) == count


def test_a_shift_takes_all_rows_to_all_rows():
    x = torch.from_numpy(gallery(5, d=24))
    rows = orbits.expanded(x, 4)
    assert rows.shape == (20, 24) and torch.equal(rows[:5], x)
    shifted = rows.roll(6, 1)
    assert torch.equal(shifted, rows.roll(-5, 0))
    assert torch.allclose(rows @ rows.T, shifted @ shifted.T, atol=1e-6)


@pytest.mark.parametrize("reading", ["closest", "mean"])
@pytest.mark.parametrize(("m", "d", "reached"), [(300, 32, 0.1760), (301, 32, 0.1765), (600, 96, 0.0754)])
def test_the_closest_pair_is_as_far_apart_as_without_orbits(m: int, d: int, reached: float, reading: str):
    """One row an orbit ends at .174 and .0745, and so did twice the time of the schedule before at .1765 and .0758."""
    x = pack.pack(gallery(40, d=d), cfg := replace(FREE, identities=m, separation=reading))
    assert x.shape == (m, d) and sphere.nearest(x)[1].max() < reached
    assert np.array_equal(x, pack.pack(gallery(50, d=d, seed=1), cfg))  # wherever the gallery is
