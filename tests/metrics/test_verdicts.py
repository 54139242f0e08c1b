"""Corrections for many comparisons, and the smallest difference that shows."""

import numpy as np
import pytest
from scipy import stats

from stages.metrics import verdicts


def test_holm_of_a_known_case() -> None:
    np.testing.assert_allclose(verdicts.holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(verdicts.holm([0.9, 0.6]), [1, 1])
    assert len(verdicts.holm([])) == 0


def test_holm_keeps_its_level_where_nothing_differs() -> None:
    p = np.random.default_rng(0).uniform(size=(4000, 8))
    assert np.mean([verdicts.holm(row).min() < 0.05 for row in p]) == pytest.approx(0.05, abs=0.01)


@pytest.mark.parametrize("df", [4, 30])
def test_the_smallest_difference_shows_in_eighty_of_a_hundred(df: int) -> None:
    rng = np.random.default_rng(0)
    value = verdicts.smallest(0.5, df, 0.05) + 0.5 * rng.standard_normal(200_000)
    error = 0.5 * np.sqrt(rng.chisquare(df, 200_000) / df)
    assert (value / error > stats.t.ppf(0.975, df)).mean() == pytest.approx(0.8, abs=0.02)
