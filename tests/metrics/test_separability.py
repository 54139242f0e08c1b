"""Equal error rate and Fisher's ratio: known answers, limits, repeated pairs."""

import numpy as np
import pytest
from sklearn.metrics import roc_curve

from stages.common import verification
from stages.metrics import separability
from stages.metrics.bootstrap import Pairs


def once(score: np.ndarray, same: np.ndarray) -> tuple[float, float]:
    """Return equal error rate and FDR of pairs that count once."""
    eer, fdr = separability.weighted(score, same, np.ones((1, len(score)), np.int32))[0]
    return float(eer), float(fdr)


def drawn(pairs: int = 400, digits: int = 6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    same = rng.random(pairs) < 0.4
    return np.round(rng.normal(0, 1, pairs) + same, digits), same


def test_one_mistake_of_each_kind_among_four():
    score, same = np.array([0.1, 0.2, 0.3, 0.7, 0.6, 0.8, 0.9, 1.0]), np.array([0, 0, 0, 0, 1, 1, 1, 1], bool)
    assert once(score, same)[0] == 0.25


@pytest.mark.parametrize("digits", [6, 1])  # one digit makes ties
def test_the_equal_error_rate_is_where_the_roc_meets_the_diagonal(digits: int):
    score, same = drawn(digits=digits)
    fpr, tpr, _ = roc_curve(same, score, drop_intermediate=False)
    nearest = np.abs(fpr - (1 - tpr)).argmin()
    assert once(score, same)[0] == pytest.approx((fpr[nearest] + 1 - tpr[nearest]) / 2)


def test_limits():
    same = np.arange(20) < 10
    assert once(np.where(same, 1.0, 0.0), same)[0] == 0  # perfect
    assert once(np.where(same, 0.0, 1.0), same)[0] == 1  # upside down
    assert once(np.zeros(20), same)[0] == 0.5  # blind
    assert np.isnan(once(np.zeros(20), same)[1])


def test_fisher_s_ratio_is_half_of_d_prime_squared():
    score, same = drawn()
    assert once(score, same)[1] == pytest.approx(verification.d_prime(score[same], score[~same]) ** 2 / 2)
    assert once(score + 1e4, same)[1] == pytest.approx(once(score, same)[1])  # nothing cancels far from zero


@pytest.mark.parametrize("digits", [6, 1])
def test_a_weight_counts_a_pair_that_many_times(digits: int):
    score, same = drawn(digits=digits)
    weights = np.random.default_rng(1).poisson(1, (40, len(score))).astype(np.int32)
    repeated = [once(np.repeat(score, w), np.repeat(same, w)) for w in weights]
    np.testing.assert_allclose(separability.weighted(score, same, weights), repeated, atol=1e-9)


def test_an_estimate_has_a_row_per_seed_and_per_replicate():
    score, same = drawn()
    people = np.arange(400) % 40
    pairs = Pairs(same, np.arange(400) // 40, people, np.where(same, people, (people + 1) % 40))
    found = separability.estimate(np.stack([score, score + 0.5 * same]), pairs, 50, 0)
    assert found.per_seed.tolist() == [list(once(score, same)), list(once(score + 0.5 * same, same))]
    assert found.replicates.shape == (50, 2) and np.isfinite(found.replicates).all()
