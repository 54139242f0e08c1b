"""Intervals over people and seeds: known quantiles, coverage by simulation, what adds up."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from metrics.planted_pairs import FARS, case
from scipy import stats
from scipy.special import logit

from stages.metrics import bootstrap
from stages.metrics.bootstrap import Estimate, Pairs

NAMES = bootstrap.names(FARS)


def others(pairs: Pairs, shift: int) -> Pairs:
    """Return the same pairs of other people."""
    return replace(pairs, identity_a=pairs.identity_a + shift, identity_b=pairs.identity_b + shift)


def widths(estimate: Estimate) -> np.ndarray:
    low, high = bootstrap.interval(estimate, 0.95)
    return high - low


def of_seeds(values: list[float], name: str = "d_prime") -> Estimate:
    """Return an estimate in which nothing but seeds varies."""
    return Estimate((name,), np.array(values)[:, None], np.full((50, 1), np.mean(values)))


def test_seeds_alone_have_the_quantile_of_student() -> None:
    low, high = bootstrap.interval(of_seeds([1.0, 2.0, 4.0]), 0.9)
    half = stats.t.ppf(0.95, 2) * np.std([1, 2, 4], ddof=1) / np.sqrt(3)
    assert (low[0], high[0]) == pytest.approx((7 / 3 - half, 7 / 3 + half))


def test_seeds_of_two_variants_have_no_partner() -> None:
    a, b = [1.0, 2.0, 4.0], [2.0, 3.0, 5.0]
    difference = bootstrap.paired_difference(of_seeds(a), of_seeds(b), "d_prime", 0.9)
    welch: Any = stats.ttest_ind(b, a, equal_var=False)
    assert difference.value == pytest.approx(1) and difference.seeds == 3
    assert difference.p == pytest.approx(welch.pvalue) and difference.df == pytest.approx(welch.df)
    assert (difference.low, difference.high) == pytest.approx(tuple(welch.confidence_interval(0.9)))


def test_seeds_that_happen_to_agree_are_not_taken_at_their_word() -> None:
    """With equal variances of people and of three seeds, v each, the factor is 1 + 2 / 2 x (v / 2v)^2 x v / 2v."""
    replicates = np.array([[0.1], [-0.1]] * 50)
    seeds = 0.1 * np.sqrt(3) * np.array([[-1.0], [0.0], [1.0]])  # of variance .03, so that their mean has .01
    error = bootstrap.spread(replicates, [seeds]).error[0]
    assert error == pytest.approx(np.sqrt(0.02) * 1.125)


def test_people_alone_have_the_normal_quantile_whatever_the_replicates_centre() -> None:
    replicates = np.random.default_rng(0).normal(5, 0.1, (20_000, 1))  # a biased bootstrap
    low, high = bootstrap.interval(Estimate(("d_prime",), np.array([[1.0]]), replicates), 0.95)
    assert (low[0], high[0]) == pytest.approx((1 - 0.196, 1 + 0.196), abs=0.003)


def test_the_square_of_imaginary_replicates_is_subtracted() -> None:
    rng = np.random.default_rng(0)
    x = 0.5 * rng.standard_normal((20_000, 2)) @ [1, 0] + 0.3j * rng.standard_normal(20_000)
    assert bootstrap.spread(x[:, None], []).error[0] == pytest.approx(0.4, rel=0.03)
    assert bootstrap.spread(1j * x[:, None], []).error[0] == 0  # more is taken than there is


def test_an_interval_of_a_share_lies_between_zero_and_one() -> None:
    low, high = bootstrap.interval(of_seeds([0.99, 0.999, 0.98], "auc"), 0.95)
    assert 0.5 < low[0] < 0.98 and 0.998 < high[0] < 1
    same = bootstrap.interval(of_seeds([1.0, 1.0, 1.0], "auc"), 0.95)
    assert same[0][0] == same[1][0] == 1
    for value in (0.0, 1.0):  # impostors move the threshold, which all genuine pairs pass, or none
        moved = value + 0.1 * np.random.default_rng(0).standard_normal((300, 1))
        low, high = bootstrap.interval(Estimate(("tar_at_far_0.1",), np.full((3, 1), value), moved), 0.95)
        assert 0 <= low[0] <= value <= high[0] <= 1 and high[0] - low[0] > 0.1
    low, _ = bootstrap.interval(Estimate(("d_prime",), np.full((3, 1), 0.0), moved - value), 0.95)
    assert low[0] < -0.1


def reach(replicates: np.ndarray) -> list[float]:
    """Return how far the interval of a share of .8 reaches below and above, in log odds."""
    low, high = bootstrap.interval(Estimate(("auc",), np.array([[0.8]]), replicates[:, None]), 0.95)
    return [abs(float(logit(end[0]) - logit(0.8))) for end in (low, high)]


def test_an_interval_reaches_further_where_few_people_decide() -> None:
    person = 0.003 * np.append(np.random.default_rng(0).standard_normal(99), -12)  # one who is often mistaken
    sparse = np.sqrt(300) * np.pad(person - person.mean(), (0, 200))  # of 300 replicates each person moves one
    below, above = reach(sparse)
    assert below > 1.2 * above and reach(-sparse) == pytest.approx([above, below])
    half = bootstrap.spread(sparse[:, None], []).half(0.95)[0] / (0.8 * 0.2)
    assert above < half < below
    below, above = reach(0.01 * (1 - np.random.default_rng(1).exponential(size=300)))  # all people move all of these
    assert below == pytest.approx(above, rel=0.15)


def test_seeds_that_differ_widen_the_interval_and_seeds_that_agree_do_not() -> None:
    def width(scores: np.ndarray) -> float:
        return float(widths(bootstrap.estimate(scores, pairs, FARS, 300, 0))[0])

    (score, *_), pairs = case(np.random.default_rng(0))
    single = width(score[None])
    assert width(np.stack([score] * 3)) == pytest.approx(single)
    assert width(np.stack([score + gap * pairs.same for gap in (-0.4, 0, 0.4)])) > 1.3 * single


def test_interval_covers_the_truth_as_often_as_it_says_and_one_by_pair_would_not() -> None:
    covered, by_pair = [], []
    simulations = [case(np.random.default_rng([5, i]), people=40, pairs=800, sd=0.3) for i in range(100)]
    alone = [replace(p, identity_a=(own := np.arange(800)), identity_b=own + 800 * ~p.same) for _, p in simulations]
    estimates = [bootstrap.estimate(score, pairs, FARS, 300, i) for i, (score, pairs) in enumerate(simulations)]
    truth = np.mean([e.value for e in estimates], axis=0)  # over 4,000 people
    for i, (score, _) in enumerate(simulations):
        low, high = bootstrap.interval(estimates[i], 0.9)
        covered.append((low <= truth) & (truth <= high))
        low, high = bootstrap.interval(bootstrap.estimate(score, alone[i], FARS, 300, i), 0.9)
        by_pair.append((low <= truth) & (truth <= high))
    rate, rate_by_pair = (dict(zip(NAMES, np.mean(x, axis=0), strict=True)) for x in (covered, by_pair))
    assert all(0.8 <= value <= 0.99 for value in rate.values()), rate
    assert all(value < 0.7 for value in rate_by_pair.values()), rate_by_pair


def test_mean_over_protocols_is_narrower_by_independent_people() -> None:
    rng = np.random.default_rng(1)
    several = []
    for _ in range(4):
        score, pairs = case(rng, people=60, pairs=800, sd=0.2)
        several.append(bootstrap.estimate(score, pairs, FARS, 400, 0))
    together = bootstrap.mean(several)
    np.testing.assert_allclose(together.value, np.mean([e.value for e in several], axis=0))
    assert widths(together)[0] == pytest.approx(np.sqrt(np.mean([widths(e)[0] ** 2 for e in several])) / 2, rel=0.2)


def test_mean_over_protocols_keeps_the_spread_between_seeds() -> None:
    estimates = []
    for shift in (0, 1000):
        score, pairs = case(np.random.default_rng(3), people=200, pairs=4000)
        gaps = np.array([[-0.3], [0.0], [0.3]])
        pairs = others(pairs, shift)
        estimates.append(bootstrap.estimate((score + gaps * pairs.same).astype(np.float32), pairs, FARS, 200, 0))
    single = min(widths(e)[0] for e in estimates)
    assert widths(bootstrap.mean(estimates))[0] > 0.9 * single


def test_networks_are_their_own_partner_on_another_protocol() -> None:
    (score, *_), pairs = case(np.random.default_rng(0))
    scores = np.stack([score + gap * pairs.same for gap in (-0.3, 0, 0.3)])
    estimates = [bootstrap.estimate(scores, others(pairs, shift), FARS, 300, 0) for shift in (0, 0, 1000)]
    assert widths(bootstrap.minus(estimates[1], estimates[0])) == pytest.approx(0)
    elsewhere = bootstrap.minus(estimates[2], estimates[0])  # the same seeds, other people
    np.testing.assert_allclose(elsewhere.per_seed, 0)
    assert 0 < widths(elsewhere)[-1] < widths(estimates[0])[-1]


def test_pairs_in_common_narrow_the_difference() -> None:
    (score, *_), pairs = case(np.random.default_rng(0), people=40, pairs=800, sd=0.3)
    a, b = (bootstrap.estimate(x[None], pairs, FARS, 300, 0) for x in (score, score + 0.1 * pairs.same))
    difference = bootstrap.paired_difference(a, b, "auc", 0.95)
    assert difference.low <= difference.value <= difference.high
    auc = NAMES.index("auc")
    assert difference.value == pytest.approx(b.value[auc] - a.value[auc])
    assert difference.high - difference.low < 0.5 * widths(a)[auc]


def test_what_cannot_be_measured_is_nan_and_disturbs_no_other_metric() -> None:
    score, pairs = case(np.random.default_rng(0), pairs=100)
    estimate = bootstrap.estimate(score, pairs, (0.1, 0.01), 20, 0)
    np.testing.assert_array_equal(np.isnan(estimate.value), [False, False, True, False, False, False, False])
    np.testing.assert_array_equal(np.isnan(widths(estimate)), np.isnan(estimate.value))
    collapsed = bootstrap.estimate(np.ones_like(score), pairs, (0.1,), 20, 0)
    np.testing.assert_array_equal(collapsed.value[[0, 1, 2]], [0.5, 0, 0.5])
    assert np.isnan(collapsed.value[3])


def test_replicates_without_a_value_do_not_count() -> None:
    rng = np.random.default_rng(0)
    replicates = np.column_stack([np.tile(rng.normal(size=500), 2), np.full(1000, np.nan)])
    whole = bootstrap.spread(replicates[:500], [])
    replicates[:500, 0] = np.nan
    assert bootstrap.spread(replicates, []).error[0] == pytest.approx(whole.error[0])
    assert np.isnan(bootstrap.spread(replicates, []).error[1])
