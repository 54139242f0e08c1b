"""Many comparisons of templates: equality with the plain metric, with repeated comparisons, and in blocks."""

import numpy as np
import pytest

from stages.common import verification
from stages.metrics import comparisons, people
from stages.metrics.comparisons import Comparisons

FARS = (0.1, 0.01)


def case(count: int = 3000, digits: int = 6) -> tuple[np.ndarray, Comparisons]:
    """Return scores (p,) of comparisons of 60 templates of 20 people, a tenth of them genuine."""
    rng = np.random.default_rng(0)
    person = np.repeat(np.arange(20), 3)
    a = rng.integers(0, 60, count)
    same = rng.random(count) < 0.1
    b = np.where(same, a // 3 * 3 + (a + 1) % 3, (a + 3 * rng.integers(1, 20, count)) % 60)
    return np.round(rng.normal(0, 1, count) + 2 * same, digits).astype(np.float32), Comparisons(a, b, same, person)


def test_scores_are_cosines_in_the_order_of_the_list(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(comparisons, "BLOCK", 7)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 8)).astype(np.float32)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    _, pairs = case()
    expected = (x[pairs.a] * x[pairs.b]).sum(1)
    np.testing.assert_allclose(comparisons.scores(x, pairs.a, pairs.b), expected, atol=1e-6)


@pytest.mark.parametrize("digits", [6, 1])
def test_with_weights_of_one_it_is_the_plain_metric(digits: int):
    score, pairs = case(digits=digits)
    found = comparisons.tars(score, pairs, FARS, people.once(20))[0]
    same, other = score[pairs.same], score[~pairs.same]
    assert found.tolist() == pytest.approx([verification.tar_at_far(same, other, far) for far in FARS], abs=1e-12)


@pytest.mark.parametrize(("digits", "fars"), [(6, FARS), (1, FARS), (6, (0.95, 0.002))])
def test_people_drawn_several_times_repeat_their_comparisons(digits: int, fars: tuple[float, ...]):
    """A large FAR looks further than the highest scores at first."""
    score, pairs = case(digits=digits)
    weights = people.weights(np.arange(20), 30, 0)
    found = comparisons.tars(score, pairs, fars, weights)
    for w, row in zip(weights, found, strict=True):
        a, b = w[pairs.person[pairs.a]], w[pairs.person[pairs.b]]
        times = np.where(pairs.same, a, a * b)
        same, other = (np.repeat(score[kind], times[kind]) for kind in (pairs.same, ~pairs.same))
        assert row.tolist() == pytest.approx([verification.tar_at_far(same, other, far) for far in fars], abs=1e-9)


def test_a_rate_below_one_impostor_comparison_is_missing_not_zero():
    score, pairs = case(200)
    impostors = int((~pairs.same).sum())
    few, enough = comparisons.tars(score, pairs, (0.99 / impostors, 1 / impostors), people.once(20))[0]
    assert np.isnan(few) and enough > 0


def test_all_impostors_may_be_allowed():
    score, pairs = case(200)
    allowed = 1 - 0.5 / int((~pairs.same).sum())
    assert (
        comparisons.tars(score, pairs, (allowed,), people.once(20))[0, 0]
        == (score[pairs.same] > score[~pairs.same].min()).mean()
    )


def test_draws_follow_the_people_not_their_order():
    a = people.weights(np.array([3, 5, 9]), 10, 0)
    np.testing.assert_array_equal(a, people.weights(np.array([9, 3, 5]), 10, 0))
    assert (a.sum(axis=1) == 3).all() and (a != people.weights(np.array([3, 5, 8]), 10, 0)).any()
