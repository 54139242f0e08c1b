"""The influence of a pair is what a metric gains by its weight."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from metrics.planted_pairs import case

from stages.common import verification
from stages.metrics import influence
from stages.metrics.influence import Influence

TIMES = 200  # how often every pair is repeated, so that one more of a pair is a small weight


@pytest.mark.parametrize("metric", [influence.auc, influence.d_prime])
def test_one_more_of_a_pair_changes_a_metric_by_its_influence(
    metric: Callable[[np.ndarray, np.ndarray], Influence],
) -> None:
    (score, *_), pairs = case(np.random.default_rng(0), people=10, pairs=60)
    found = metric(score, pairs.same)
    for pair in range(len(score)):
        count = np.full(len(score), TIMES)
        count[pair] += 1
        more = metric(np.repeat(score, count), np.repeat(pairs.same, count))
        assert TIMES * (more.value - found.value) == pytest.approx(found.pairs[pair], rel=0.02, abs=1e-5)


def test_accuracy_depends_on_who_is_judged_rightly_among_pairs_of_a_kind() -> None:
    same = np.tile([True, False], 20)
    score = np.where(same, 1.0, 0.0)
    score[[0, 2, 5]] = [0.1, 0.2, 0.9]  # two genuine pairs and an impostor on the wrong side
    found = influence.accuracy(score, same, np.arange(40) // 4)
    right = ~np.isin(np.arange(40), [0, 2, 5])
    assert found.value == pytest.approx(37 / 40)
    assert found.pairs * 40 == pytest.approx(right - np.where(same, 18 / 20, 19 / 20))


def test_values_are_those_of_plain_pairs() -> None:
    (score, *_), pairs = case(np.random.default_rng(1))
    genuine, impostors = score[pairs.same], score[~pairs.same]
    assert influence.accuracy(score, pairs.same, pairs.fold).value == pytest.approx(
        verification.ten_fold_accuracy(score, pairs.same, pairs.fold)[0]
    )
    assert influence.tar_at_far(score, pairs.same, 0.05).value == verification.tar_at_far(genuine, impostors, 0.05)
    assert influence.auc(score, pairs.same).value == pytest.approx(verification.auc(genuine, impostors))
    assert influence.d_prime(score, pairs.same).value == verification.d_prime(genuine, impostors)


@pytest.mark.parametrize("far", [0.02, 0.1])
def test_the_squared_influences_of_independent_pairs_are_the_variance_of_a_true_accept_rate(far: float) -> None:
    rng, same = np.random.default_rng(0), np.arange(2000) % 2 == 0
    found = [influence.tar_at_far(rng.standard_normal(2000) + 1.5 * same, same, far) for _ in range(300)]
    variance = np.mean([np.square(x.pairs).sum() for x in found])
    assert variance == pytest.approx(np.var([x.value for x in found]), rel=0.25)


def test_a_rate_that_pairs_cannot_measure_is_nan_and_one_that_all_satisfy_has_no_influence() -> None:
    score, same = np.arange(40.0), np.arange(40) % 2 == 0
    unmeasured, all_of_them = (influence.tar_at_far(score, same, far) for far in (0.01, 1))
    assert math.isnan(unmeasured.value) and np.isnan(unmeasured.pairs).all()
    assert all_of_them.value == 1 and not all_of_them.pairs.any()
    assert math.isnan(influence.d_prime(np.ones(40), same).value)
