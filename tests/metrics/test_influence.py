"""The influence of a pair is what a metric gains by its weight."""

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from metrics.planted_pairs import case
from sklearn.metrics import roc_curve

from stages.common import verification
from stages.metrics import influence
from stages.metrics.influence import Influence

TIMES = 200  # how often every pair is repeated, so that one more of a pair is a small weight


@pytest.mark.parametrize("metric", [influence.auc, influence.d_prime, influence.fisher_ratio])
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


@pytest.mark.parametrize(
    ("metric", "more"),
    [
        (partial(influence.tar_at_far, far=0.02), 1),
        (partial(influence.tar_at_far, far=0.1), 1),
        (influence.equal_error_rate, 1),
        (influence.equal_error_rate, 4),  # impostors for each genuine pair
    ],
)
def test_the_squared_influences_of_independent_pairs_are_the_variance_of_a_rate(
    metric: Callable[[np.ndarray, np.ndarray], Influence], more: int
) -> None:
    rng, same = np.random.default_rng(0), np.arange(1000 * (1 + more)) % (1 + more) == 0
    spread = np.where(same, 2, 1)  # genuine pairs are thinner at the threshold
    found = [metric(spread * rng.standard_normal(len(same)) + 1.5 * same, same) for _ in range(300)]
    variance = np.mean([np.square(x.pairs).sum() for x in found])
    assert variance == pytest.approx(np.var([x.value for x in found]), rel=0.25)


@pytest.mark.parametrize("allowed", [3, 30])
def test_the_impostors_that_pass_weigh_as_so_many_independent_pairs(allowed: int) -> None:
    impostors, genuine = -np.log(np.arange(1, 10001) / 10000), np.linspace(0, 10, 10000)  # TAR is -ln(FAR) / 10
    score, same = np.append(impostors, genuine), np.arange(20000) >= 10000
    found = influence.tar_at_far(score, same, (allowed + 0.5) / 10000)
    assert np.square(found.pairs[~same]).sum() == pytest.approx(0.1**2 / allowed, rel=0.02)


def test_one_mistake_of_each_kind_among_four() -> None:
    score, same = np.array([0.1, 0.2, 0.3, 0.7, 0.6, 0.8, 0.9, 1.0]), np.arange(8) >= 4
    found = influence.equal_error_rate(score, same)
    assert found.value == 0.25
    assert np.argsort(found.pairs)[-2:].tolist() == [3, 4] and found.pairs.sum() == pytest.approx(0)


@pytest.mark.parametrize("digits", [6, 1])  # one digit makes ties
def test_the_equal_error_rate_is_where_the_roc_meets_the_diagonal(digits: int) -> None:
    rng = np.random.default_rng(0)
    same = rng.random(400) < 0.4
    score = np.round(rng.normal(0, 1, 400) + same, digits)
    fpr, tpr, _ = roc_curve(same, score, drop_intermediate=False)
    nearest = np.abs(fpr - (1 - tpr)).argmin()
    assert influence.equal_error_rate(score, same).value == pytest.approx((fpr[nearest] + 1 - tpr[nearest]) / 2)


@pytest.mark.parametrize(("score", "rate"), [([1.0, 0.0], 0), ([0.0, 1.0], 1), ([0.0, 0.0], 0.5)])
def test_limits_of_the_equal_error_rate(score: list[float], rate: float) -> None:
    same = np.arange(20) < 10
    found = influence.equal_error_rate(np.where(same, *score), same)
    assert found.value == rate and not found.pairs.any()


def test_fisher_s_ratio_is_half_of_d_prime_squared() -> None:
    (score, *_), pairs = case(np.random.default_rng(1))
    d_prime = verification.d_prime(score[pairs.same], score[~pairs.same])
    assert influence.fisher_ratio(score, pairs.same).value == pytest.approx(d_prime**2 / 2)
    assert math.isnan(influence.fisher_ratio(np.zeros(len(score)), pairs.same).value)


def test_a_rate_that_pairs_cannot_measure_is_nan_and_one_that_all_satisfy_has_no_influence() -> None:
    score, same = np.arange(40.0), np.arange(40) % 2 == 0
    unmeasured, all_of_them = (influence.tar_at_far(score, same, far) for far in (0.01, 1))
    assert math.isnan(unmeasured.value) and np.isnan(unmeasured.pairs).all()
    assert all_of_them.value == 1 and not all_of_them.pairs.any()
    assert math.isnan(influence.d_prime(np.ones(40), same).value)
