"""LFW's accuracy and validation rate against their formulas, written plainly, and against repeated pairs."""

import time

import numpy as np
import pytest

from stages.metrics import bootstrap, insightface
from stages.metrics.bootstrap import Pairs


def case(pairs: int, gap: float, d: int = 16, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return distances (p,) of unit rows and which are of one person; genuine ones share `gap` of a row."""
    rng = np.random.default_rng(seed)
    same = rng.random(pairs) < 0.5
    x, y = rng.normal(size=(2, pairs, d)).astype(np.float32)
    y = np.where(same[:, None], gap * x + (1 - gap) * y, y)
    unit_x, unit_y = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (x, y))
    return insightface.distances(unit_x, unit_y), same


def runs(pairs: int) -> list[np.ndarray]:
    """Return whether each pair is of a fold (folds, p): ten runs, of which the first ones are longer by one."""
    sizes = [pairs // 10 + (i < pairs % 10) for i in range(10)]
    return [np.repeat(np.arange(10), sizes) == i for i in range(10)]


def plain_accuracy(dist: np.ndarray, same: np.ndarray) -> list[float]:
    """Return the accuracy of each fold by trying every threshold on every pair."""
    found = []
    for test in runs(len(dist)):
        tried = [((dist[~test] < t) == same[~test]).mean() for t in np.arange(0, 4, 0.01)]
        threshold = np.arange(0, 4, 0.01)[int(np.argmax(tried))]
        found.append(float(((dist[test] < threshold) == same[test]).mean()))
    return found


def plain_validation(dist: np.ndarray, same: np.ndarray, far: float) -> list[float]:
    """Return the share of accepted genuine pairs of each fold."""
    grid, found = np.arange(0, 4, 0.001), []
    for test in runs(len(dist)):
        rate = np.array([(dist[~test & ~same] < t).mean() for t in grid])
        i = np.flatnonzero(rate <= far)[-1]  # the last of equal rates
        threshold = grid[i] + (far - rate[i]) / (rate[i + 1] - rate[i]) * (grid[i + 1] - grid[i])
        found.append(float((dist[test & same] < threshold).mean()))
    return found


def once(dist: np.ndarray, same: np.ndarray) -> list[insightface.Fold]:
    return insightface.folds(dist, same, np.ones((1, len(dist)), np.int32))


@pytest.mark.parametrize(("pairs", "gap"), [(600, 0.3), (601, 0.5), (997, 0.2)])
def test_accuracy_and_validation_rate_are_those_of_the_formula_to_the_last_digit(pairs: int, gap: float):
    dist, same = case(pairs, gap)
    parts = once(dist, same)
    assert insightface.accuracies(parts)[0].tolist() == plain_accuracy(dist, same)
    val, reached = insightface.validation(parts, 0.01)
    assert val[0].tolist() == plain_validation(dist, same, 0.01)
    assert reached.mean() == pytest.approx(0.01, abs=0.01)
    both = insightface.weighted(dist, same, np.ones((1, pairs), np.int32))[0]
    assert both.tolist() == [np.mean(plain_accuracy(dist, same)), np.mean(plain_validation(dist, same, 0.001))]


def test_it_takes_less_than_a_tenth_of_the_time():
    dist, same = case(6000, 0.3)
    start = time.process_time()
    expected = plain_accuracy(dist, same)
    plain, start = time.process_time() - start, time.process_time()
    for _ in range(5):
        assert insightface.accuracies(once(dist, same))[0].tolist() == expected
    assert (time.process_time() - start) / 5 < plain / 10


def test_distances_on_the_threshold_are_rejections():
    dist, same = np.tile([0.5, 1.5], 20), np.tile([True, False], 20)
    assert insightface.ACCURACY_GRID[50] == 0.5
    parts = once(dist, same)
    assert parts[0].accepted(np.array([0.5, 0.51]))[0].tolist() == [[0, 2]]
    assert (insightface.accuracies(parts) == 1).all()


def test_a_rate_that_no_threshold_reaches_accepts_nothing():
    dist, same = np.tile([0.5, 4.0], 20), np.tile([True, False], 20)  # opposite rows are never accepted
    val, reached = insightface.validation(once(dist, same))
    assert (val == 0).all() and (reached == 0).all()


def test_a_weight_counts_a_pair_that_many_times():
    """Within its fold, which keeps its pairs."""
    dist, same = case(400, 0.4)
    weights = np.random.default_rng(1).poisson(1, (3, 400)).astype(np.int32)
    accuracy = insightface.accuracies(insightface.folds(dist, same, weights))
    for w, found in zip(weights, accuracy, strict=True):
        for test, share in zip(runs(400), found, strict=True):
            d, s, times = dist[~test], same[~test], w[~test]
            right = [times[(d < t) == s].sum() for t in insightface.ACCURACY_GRID]
            threshold = insightface.ACCURACY_GRID[int(np.argmax(right))]
            own = (dist[test] < threshold) == same[test]
            assert share == pytest.approx((w[test] * own).sum() / w[test].sum(), abs=1e-12)


def test_replicates_lie_around_the_estimate():
    dist, same = case(1000, 0.4)
    people = np.arange(1000) // 2
    pairs = Pairs(same, np.arange(1000) // 100, people, np.where(same, people, (people + 1) % 500))
    found = insightface.estimate(np.stack([dist, dist]), pairs, 200, 0)
    assert found.names == insightface.NAMES and found.per_seed.shape == (2, 2) and found.replicates.shape == (200, 2)
    low, high = bootstrap.interval(found, 0.99)
    assert ((low < found.value) & (found.value < high)).all()
