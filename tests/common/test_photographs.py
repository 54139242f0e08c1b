"""The square of a photograph, also where it reaches beyond."""

import numpy as np
import pytest

from stages.common import photographs


@pytest.mark.parametrize(("height", "width"), [(5, 9), (9, 5), (6, 6), (1, 40), (1, 1)])
@pytest.mark.parametrize(("side", "x", "y"), [(4, 2, 2), (7, 0, 4), (12, 9, 0), (3, -5, 20), (0.2, 1, 1)])
def test_a_square_replicates_the_edge(height: int, width: int, side: float, x: float, y: float):
    photograph = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    whole = max(1, round(side))
    rows, columns = (round(at - whole / 2) + np.arange(whole) for at in (y, x))
    expected = photograph[rows.clip(0, height - 1)][:, columns.clip(0, width - 1)]
    assert np.array_equal(photographs.square(photograph, side, x, y), expected)
