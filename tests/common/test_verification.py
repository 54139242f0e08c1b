"""Verification metrics: known answers, limits, and scikit-learn as oracle."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score, roc_curve

from stages.common import verification


def scored(seed: int = 0, pairs: int = 600, digits: int = 6) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return overlapping scores, same and ten folds; few digits make ties."""
    rng = np.random.default_rng(seed)
    same = rng.random(pairs) < 0.5
    score = np.round(rng.normal(0, 0.3, pairs) + 0.4 * same, digits).astype(np.float32)
    return score, same, rng.permutation(np.arange(pairs) % 10)


def test_accuracy_is_one_where_the_kinds_are_apart_and_half_where_they_are_alike() -> None:
    same = np.arange(40) % 2 == 0
    fold = np.arange(40) // 4
    assert verification.ten_fold_accuracy(same.astype(np.float32), same, fold)[0] == 1
    assert verification.ten_fold_accuracy(np.zeros(40, np.float32), same, fold)[0] == 0.5


def test_threshold_comes_from_the_other_folds() -> None:
    # apart within each fold, but at another height: the threshold of one fold fails on the other
    score = np.array([0.1, 0.2, 0.8, 0.9], np.float32)
    same = np.array([False, True, False, True])
    fold = np.array([0, 0, 1, 1])
    mean, folds = verification.ten_fold_accuracy(score, same, fold)
    assert mean == 0.5
    np.testing.assert_array_equal(folds, [0.5, 0.5])


def test_threshold_is_the_lowest_of_equals_and_a_tie_is_a_rejection() -> None:
    # on fold 1 every threshold from 0.2 up to 0.7 is perfect; the lowest, 0.2, accepts the pair at 0.3 and rejects 0.2
    score = np.array([0.2, 0.3, 0.1, 0.2, 0.7, 0.8], np.float32)
    same = np.array([False, True, False, False, True, True])
    fold = np.array([0, 0, 1, 1, 1, 1])
    assert verification.ten_fold_accuracy(score, same, fold)[1][0] == 1


@given(seed=st.integers(0, 1000), digits=st.sampled_from([1, 2, 6]))
@settings(max_examples=25, deadline=None)
def test_accuracy_agrees_with_the_roc_of_scikit_learn(seed: int, digits: int) -> None:
    score, same, fold = scored(seed, digits=digits)
    right = 0
    for f in range(10):
        train = fold != f
        fpr, tpr, thresholds = roc_curve(same[train], score[train], drop_intermediate=False)
        won = tpr * same[train].sum() + (1 - fpr) * (~same[train]).sum()
        reject_at = thresholds[np.flatnonzero(won >= won.max() - 1e-6)[-1]]  # scikit-learn accepts from here upwards
        below = score[train][score[train] < reject_at]
        threshold = below.max() if len(below) else -np.inf
        right += ((score[~train] > threshold) == same[~train]).sum()
    assert verification.ten_fold_accuracy(score, same, fold)[0] == pytest.approx(right / len(score), abs=1e-12)


def test_one_fold_is_refused() -> None:
    with pytest.raises(ValueError, match="two or more"):
        verification.ten_fold_accuracy(np.zeros(4, np.float32), np.array([True, False] * 2), np.zeros(4, int))


def test_tar_at_far_of_a_known_case() -> None:
    cos_diff = np.arange(100, dtype=np.float32) / 100
    cos_same = np.array([0.5, 0.97, 0.98, 0.985, 2.0], np.float32)
    assert verification.tar_at_far(cos_same, cos_diff, 0.01) == pytest.approx(2 / 5)  # 0.98 ties and is rejected
    assert verification.tar_at_far(cos_same, cos_diff, 0.02) == pytest.approx(3 / 5)
    assert verification.tar_at_far(np.array([0.705]), cos_diff, 0.29) == 1  # 0.29 * 100 is 28.999... in floats


@given(seed=st.integers(0, 1000), digits=st.sampled_from([1, 2, 6]), far=st.sampled_from([0.01, 0.05, 0.1, 0.5]))
@settings(max_examples=40, deadline=None)
def test_tar_is_the_best_that_does_not_exceed_the_far(seed: int, digits: int, far: float) -> None:
    score, same, _ = scored(seed, digits=digits)
    cos_same, cos_diff = score[same], score[~same]
    fpr, tpr, _ = roc_curve(same, score, drop_intermediate=False)
    assert verification.tar_at_far(cos_same, cos_diff, far) == pytest.approx(tpr[fpr <= far + 1e-12].max())


def test_a_far_below_one_impostor_is_refused() -> None:
    with pytest.raises(ValueError, match="999 impostor pairs"):
        verification.tar_at_far(np.ones(5), np.zeros(999), 0.001)


@given(seed=st.integers(0, 1000), digits=st.sampled_from([1, 6]))
@settings(max_examples=25, deadline=None)
def test_auc_and_roc_agree_with_scikit_learn(seed: int, digits: int) -> None:
    score, same, _ = scored(seed, digits=digits)
    area = verification.auc(score[same], score[~same])
    assert area == pytest.approx(roc_auc_score(same, score), abs=1e-12)
    far, tar = verification.roc(score[same], score[~same])
    assert (far[0], tar[0], far[-1], tar[-1]) == (0, 0, 1, 1)
    assert (np.diff(far) >= 0).all() and (np.diff(tar) >= 0).all()
    assert np.trapezoid(tar, far) == pytest.approx(area, abs=1e-9)


def test_d_prime_of_known_moments() -> None:
    cos_same, cos_diff = np.array([0.5, 0.9]), np.array([-0.1, 0.1])  # means 0.7 and 0, deviations 0.2 and 0.1
    assert verification.d_prime(cos_same, cos_diff) == pytest.approx(0.7 / np.sqrt((0.04 + 0.01) / 2))
    assert np.isnan(verification.d_prime(np.ones(3), np.ones(3)))
