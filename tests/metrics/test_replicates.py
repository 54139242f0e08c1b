"""The mean square of replicates is the variance over people, whatever is added or subtracted."""

from dataclasses import replace

import numpy as np
import pytest
from metrics.planted_pairs import case

from stages.metrics import replicates
from stages.metrics.replicates import Pairs


def variance(deviations: np.ndarray) -> np.ndarray:
    return np.square(deviations).mean(axis=0).real


def by_definition(u: np.ndarray, pairs: Pairs) -> float:
    """Return the sum of products over all pairs of pairs that share a person."""
    people = [{a, b} for a, b in zip(pairs.identity_a, pairs.identity_b, strict=True)]
    shared = np.array([[bool(one & other) for other in people] for one in people])
    # a genuine pair and two impostor pairs of two people count once, as everybody else
    count = len(np.unique([pairs.identity_a, pairs.identity_b]))
    return float(u @ shared @ u) * (count / (count - 1)) ** 2


def influences(seed: int, pairs: Pairs, seeds: int = 1) -> np.ndarray:
    """Return influences (s, 1, p) in which people, and seeds, differ."""
    rng = np.random.default_rng(seed)
    person = rng.standard_normal(pairs.identity_a.max() + 1)
    shared = person[pairs.identity_a] + person[pairs.identity_b]
    return (shared + rng.standard_normal((seeds, 1, len(shared)))) / len(shared)


def test_one_network_has_the_variance_of_pairs_that_share_people() -> None:
    _, pairs = case(np.random.default_rng(0), people=12, pairs=120)
    u = influences(1, pairs)
    assert variance(replicates.of(u, pairs, 300, 0))[0] == pytest.approx(by_definition(u[0, 0], pairs))


def test_what_seeds_show_by_themselves_is_taken_out() -> None:
    _, pairs = case(np.random.default_rng(0), people=12, pairs=120)
    u = influences(1, pairs, seeds=3)[:, 0]
    own = sum(by_definition(x - u.mean(axis=0), pairs) for x in u) / (3 * 2)
    found = variance(replicates.of(u[:, None], pairs, 20_000, 0))[0]
    assert found == pytest.approx(by_definition(u.mean(axis=0), pairs) - own, rel=0.05)
    alone = variance(replicates.of(np.tile(u[:1, None], (3, 1, 1)), pairs, 300, 0))[0]
    assert alone == pytest.approx(by_definition(u[0], pairs))  # three equal networks are one


def test_the_mean_cube_is_the_third_moment_over_people() -> None:
    _, pairs = case(np.random.default_rng(0), people=12, pairs=120)
    u = influences(1, pairs)[0, 0]
    u -= u.mean()
    sums = [u[(pairs.identity_a == i) | (pairs.identity_b == i)].sum() * 12 / 11 for i in range(12)]
    found = np.real(replicates.of(u[None, None], pairs, 300, 0))
    assert (found**3).mean() / np.sqrt(300) == pytest.approx(np.sum(np.power(sums, 3)))


def test_a_difference_of_replicates_is_that_of_the_influences() -> None:
    _, pairs = case(np.random.default_rng(0), people=12, pairs=120)
    a, b = influences(1, pairs), influences(2, pairs)
    draws = [replicates.of(u, pairs, 300, 0) for u in (a, b)]
    assert variance(draws[1] - draws[0])[0] == pytest.approx(by_definition((b - a)[0, 0], pairs))


def test_more_people_than_replicates_share_them() -> None:
    _, pairs = case(np.random.default_rng(0), people=200, pairs=2000)
    u = influences(1, pairs)
    few = np.mean([variance(replicates.of(u, pairs, 50, seed))[0] for seed in range(40)])
    assert few == pytest.approx(by_definition(u[0, 0], pairs), rel=0.1)


def test_draws_depend_on_people_and_seed_alone() -> None:
    _, pairs = case(np.random.default_rng(0))
    u = influences(1, pairs)
    first = replicates.of(u, pairs, 50, 0)
    np.testing.assert_array_equal(first, replicates.of(u, pairs, 50, 0))
    np.testing.assert_allclose(2 * first, replicates.of(2 * u, pairs, 50, 0))
    others = replace(pairs, identity_a=pairs.identity_a + 1, identity_b=pairs.identity_b + 1)
    assert (first != replicates.of(u, others, 50, 0)).any() and (first != replicates.of(u, pairs, 50, 1)).any()
