"""Intervals by identity and by seed: equality with repeated pairs, weights, coverage by simulation, determinism."""

from dataclasses import replace

import numpy as np
import pytest

from stages.metrics import bootstrap
from stages.metrics.bootstrap import Estimate, Pairs

FARS = (0.1, 0.05)


def case(
    rng: np.random.Generator, people: int = 30, pairs: int = 400, seeds: int = 1, sd: float = 0.0, between: float = 0.0
) -> tuple[np.ndarray, Pairs]:
    """Return scores (s, p) and pairs; people differ by `sd`, training seeds by `between`."""
    same = np.arange(pairs) % 2 == 0
    a = rng.integers(0, people, pairs)
    b = np.where(same, a, (a + rng.integers(1, people, pairs)) % people)
    genuine, impostor = rng.normal(0, sd, (2, people)) if sd else np.zeros((2, people))
    score = rng.normal(0, 0.3, pairs) + np.where(same, 0.8 + genuine[a], impostor[a] + impostor[b])
    gaps = rng.normal(0, between, (seeds, 1)) if between else np.zeros((seeds, 1))
    return (score + gaps * same).astype(np.float32), Pairs(same, np.arange(pairs) * 10 // pairs, a, b)


def others(pairs: Pairs, shift: int) -> Pairs:
    """Return the same pairs of other people."""
    return replace(pairs, identity_a=pairs.identity_a + shift, identity_b=pairs.identity_b + shift)


@pytest.mark.parametrize(("digits", "sign"), [(1, 1), (6, 1), (6, -1)])
def test_a_weight_counts_a_pair_that_many_times(digits: int, sign: int) -> None:
    rng = np.random.default_rng(0)
    (score, *_), pairs = case(rng)
    score = sign * np.round(score, digits)  # one digit makes ties; upside down, to accept all is often best
    weights = rng.poisson(1, (40, len(score))).astype(np.int32)
    result = bootstrap.weighted(score, pairs.same, pairs.fold, weights, FARS)
    repeated = [
        bootstrap.measure(np.repeat(score, w), np.repeat(pairs.same, w), np.repeat(pairs.fold, w), FARS)
        for w in weights
    ]
    np.testing.assert_allclose(result, repeated, atol=1e-9)


def test_an_impostor_pair_weighs_with_both_its_people() -> None:
    # pair 0, 1, 2: persons 7, 8, 9 alone; 3: 7 against 8; 4: 8 against 9
    a, b = np.array([7, 8, 9, 7, 8]), np.array([7, 8, 9, 8, 9])
    pairs = Pairs(a == b, np.arange(5), a, b)
    w = bootstrap.pair_weights(pairs, 200, 0)
    assert (w[:, :3].sum(axis=1) == 3).all()  # three draws among three people
    np.testing.assert_array_equal(w[:, 3], w[:, 0] * w[:, 1])
    np.testing.assert_array_equal(w[:, 4], w[:, 1] * w[:, 2])
    assert w[:, 3:].any(axis=1).all()  # a draw without impostor pairs was drawn again


def test_people_drawn_do_not_depend_on_the_scores_and_differ_between_protocols_and_seeds() -> None:
    score, pairs = case(np.random.default_rng(0))
    w = bootstrap.pair_weights(pairs, 20, 0)
    np.testing.assert_array_equal(w, bootstrap.pair_weights(pairs, 20, 0))
    assert (w != bootstrap.pair_weights(others(pairs, 1), 20, 0)).any()
    assert (w != bootstrap.pair_weights(pairs, 20, 1)).any()
    a, b = (bootstrap.estimate(score, pairs, FARS, 20, 0) for _ in range(2))
    np.testing.assert_array_equal(a.replicates, b.replicates)


def test_shares_of_seeds_have_the_variance_of_a_mean() -> None:
    x = np.random.default_rng(0).normal(size=3)
    shares = bootstrap.seed_shares(3, 20_000, 0)
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    assert (shares @ x).std() == pytest.approx(x.std(ddof=1) / np.sqrt(3), rel=0.03)
    np.testing.assert_array_equal(bootstrap.seed_shares(1, 5, 0), np.ones((5, 1)))


def test_seeds_that_differ_widen_the_interval_and_seeds_that_agree_do_not() -> None:
    def width(scores: np.ndarray) -> float:
        low, high = bootstrap.interval(bootstrap.estimate(scores, pairs, FARS, 200, 0).replicates, 0.95)
        return float((high - low)[0])

    (score, *_), pairs = case(np.random.default_rng(0))
    single = width(score[None])
    assert width(np.stack([score] * 3)) == pytest.approx(single)
    assert width(np.stack([score + gap * pairs.same for gap in (-0.4, 0, 0.4)])) > 1.3 * single


def test_interval_covers_the_truth_as_often_as_it_says_and_one_by_pair_would_not() -> None:
    covered, by_pair = [], []
    simulations = [case(np.random.default_rng([5, i]), people=40, pairs=800, sd=0.3) for i in range(100)]
    estimates = [bootstrap.estimate(score, pairs, FARS, 100, i) for i, (score, pairs) in enumerate(simulations)]
    truth = np.mean([e.value for e in estimates], axis=0)  # over 4,000 people
    for i, (score, pairs) in enumerate(simulations):
        low, high = bootstrap.interval(estimates[i].replicates, 0.9)
        covered.append((low <= truth) & (truth <= high))
        single = np.random.default_rng(i).poisson(1, (100, score.shape[1])).astype(np.int32)
        low, high = bootstrap.interval(bootstrap.weighted(score[0], pairs.same, pairs.fold, single, FARS), 0.9)
        by_pair.append((low <= truth) & (truth <= high))
    names = bootstrap.names(FARS)
    rate, rate_by_pair = (dict(zip(names, np.mean(x, axis=0), strict=True)) for x in (covered, by_pair))
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
    single = np.sqrt(np.mean([e.replicates.std(axis=0)[0] ** 2 for e in several]))
    assert together.replicates.std(axis=0)[0] == pytest.approx(single / 2, rel=0.2)


def test_mean_over_protocols_keeps_the_spread_between_seeds() -> None:
    estimates = []
    for shift in (0, 1000):  # the same people in both draws would not matter here: only seeds differ
        score, pairs = case(np.random.default_rng(3), people=200, pairs=4000)
        gaps = np.array([[-0.3], [0.0], [0.3]])
        pairs = others(pairs, shift)
        estimates.append(bootstrap.estimate((score + gaps * pairs.same).astype(np.float32), pairs, FARS, 200, 0))
    spreads = [e.replicates.std(axis=0)[0] for e in [*estimates, bootstrap.mean(estimates)]]
    assert spreads[2] > 0.9 * min(spreads[:2])


def test_pairs_in_common_narrow_the_difference() -> None:
    (score, *_), pairs = case(np.random.default_rng(0), people=40, pairs=800, sd=0.3)
    a, b = (bootstrap.estimate(x[None], pairs, FARS, 300, 0) for x in (score, score + 0.1 * pairs.same))
    difference = bootstrap.paired_difference(a, b, "auc", 0.95)
    assert difference.low <= difference.value <= difference.high
    assert difference.value == pytest.approx(b.value[-2] - a.value[-2])
    low, high = bootstrap.interval(a.replicates[:, -2], 0.95)
    assert difference.high - difference.low < 0.5 * (high - low)


@pytest.mark.parametrize(
    ("seeds", "shift", "verdict"), [(5, 0.3, "higher"), (6, -0.3, "lower"), (5, 0, "not separated")]
)
def test_five_seeds_give_a_verdict(seeds: int, shift: float, verdict: str) -> None:
    rng = np.random.default_rng(0)
    score, pairs = case(rng, seeds=seeds)
    noise = rng.normal(0, 0.02, (2, *score.shape))
    a = bootstrap.estimate(score + noise[0], pairs, FARS, 100, 0)
    b = bootstrap.estimate(score + noise[1] + shift * pairs.same, pairs, FARS, 100, 0)
    assert bootstrap.paired_difference(a, b, "accuracy", 0.95).verdict == verdict
    assert bootstrap.paired_difference(_first(a, 4), b, "accuracy", 0.95).verdict not in {"higher", "lower"}


def _first(estimate: Estimate, seeds: int) -> Estimate:
    return replace(estimate, per_seed=estimate.per_seed[:seeds])


def test_what_cannot_be_measured_is_nan_and_disturbs_no_other_metric() -> None:
    score, pairs = case(np.random.default_rng(0), pairs=100)
    estimate = bootstrap.estimate(score, pairs, (0.1, 0.01), 20, 0)
    np.testing.assert_array_equal(np.isnan(estimate.value), [False, False, True, False, False])
    np.testing.assert_array_equal(np.isnan(estimate.replicates).all(axis=0), np.isnan(estimate.value))
    low, _ = bootstrap.interval(estimate.replicates, 0.95)
    np.testing.assert_array_equal(np.isnan(low), np.isnan(estimate.value))
    collapsed = bootstrap.estimate(np.ones_like(score), pairs, (0.1,), 20, 0)
    np.testing.assert_array_equal(collapsed.value[[0, 1, 2]], [0.5, 0, 0.5])
    assert np.isnan(collapsed.value[3])


def test_metrics_that_are_shares_stay_between_zero_and_one() -> None:
    _, pairs = case(np.random.default_rng(0))
    score = np.stack([pairs.same * 1.0, pairs.same * 1.0, np.random.default_rng(0).normal(size=len(pairs.same))])
    replicates = bootstrap.estimate(score.astype(np.float32), pairs, FARS, 200, 0).replicates
    assert replicates[:, :-1].max() == 1


def test_replicates_without_a_value_do_not_count():
    rng = np.random.default_rng(0)
    replicates = np.column_stack([rng.normal(size=400), rng.normal(size=400), np.full(400, np.nan)])
    replicates[::3, 1] = np.nan
    low, high = bootstrap.interval(replicates, 0.9)
    assert (low[0], high[0]) == tuple(np.quantile(replicates[:, 0], [0.05, 0.95]))
    assert low[1] == pytest.approx(np.quantile(replicates[~np.isnan(replicates[:, 1]), 1], 0.05))
    assert np.isnan(low[2]) and np.isnan(high[2])
