"""Draws of people with replacement: weights of pairs, and metrics of weighted pairs."""

import numpy as np
import pytest
from metrics.planted_pairs import FARS, case

from stages.common import verification
from stages.metrics import draws
from stages.metrics.replicates import Pairs


def plain(score: np.ndarray, same: np.ndarray, fold: np.ndarray) -> list[float]:
    """Return the metrics of pairs that all weigh alike."""
    genuine, impostors = score[same], score[~same]
    tars = [verification.tar_at_far(genuine, impostors, far) for far in FARS]
    accuracy, _ = verification.ten_fold_accuracy(score, same, fold)
    return [accuracy, *tars, verification.auc(genuine, impostors), verification.d_prime(genuine, impostors)]


@pytest.mark.parametrize(("digits", "sign"), [(1, 1), (6, 1), (6, -1)])
def test_a_weight_counts_a_pair_that_many_times(digits: int, sign: int) -> None:
    rng = np.random.default_rng(0)
    (score, *_), pairs = case(rng)
    score = sign * np.round(score, digits)  # one digit makes ties; upside down, to accept all is often best
    weights = rng.poisson(1, (40, len(score))).astype(np.int32)
    result = draws.weighted(score, pairs.same, pairs.fold, weights, FARS)
    repeated = [plain(np.repeat(score, w), np.repeat(pairs.same, w), np.repeat(pairs.fold, w)) for w in weights]
    np.testing.assert_allclose(result, repeated, atol=1e-9)


def test_an_impostor_pair_weighs_with_both_its_people() -> None:
    # pair 0, 1, 2: persons 7, 8, 9 alone; 3: 7 against 8; 4: 8 against 9
    a, b = np.array([7, 8, 9, 7, 8]), np.array([7, 8, 9, 8, 9])
    pairs = Pairs(a == b, np.arange(5), a, b)
    w = draws.pair_weights(pairs, 200, 0)
    assert (w[:, :3].sum(axis=1) == 3).all()  # three draws among three people
    np.testing.assert_array_equal(w[:, 3], w[:, 0] * w[:, 1])
    np.testing.assert_array_equal(w[:, 4], w[:, 1] * w[:, 2])
    assert w[:, 3:].any(axis=1).all()  # a draw without impostor pairs was drawn again
