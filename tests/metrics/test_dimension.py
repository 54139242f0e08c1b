"""The participation ratio of known shapes."""

import numpy as np
import pytest

from stages.metrics.dimension import participation_ratio


def test_a_ball_fills_its_dimensions_and_no_others():
    x = np.random.default_rng(0).standard_normal((20_000, 16))
    assert participation_ratio(x) == pytest.approx(16, rel=0.01)
    assert participation_ratio(np.pad(x[:, :5], ((0, 0), (0, 11))) + 3) == pytest.approx(5, rel=0.01)
    x[:, 0] *= 100
    assert participation_ratio(x) == pytest.approx(1, abs=0.01)


def test_few_points_fill_few_dimensions():
    assert participation_ratio(np.random.default_rng(0).standard_normal((5, 512))) <= 4
