"""What every pair contributes to a metric: its value is a sum over pairs, to first order.

The influence of a pair is the derivative of the metric by that pair's weight (Hampel 1974). The influences of the
genuine pairs sum to zero and so do those of the impostor pairs, as a protocol fixes how many there are of each. Sums
of influences over a person's pairs tell how much the metric owes to that person; `bootstrap` makes intervals of them.
"""

import math
from typing import NamedTuple

import numpy as np

from stages.common import verification

WINDOW = 2  # slopes of the ROC are taken between half and twice a rate


class Influence(NamedTuple):
    """A metric's value and the influence of each pair on it, (p,); NaN where it cannot be measured."""

    value: float
    pairs: np.ndarray


def accuracy(score: np.ndarray, same: np.ndarray, fold: np.ndarray) -> Influence:
    """Return the ten-fold accuracy of scores (p,).

    Only the pairs judged rightly count: a threshold with the highest accuracy has slope zero. A bootstrap that looks
    for the threshold anew finds it on fewer distinct pairs, and is therefore biased downwards; this is not.
    """
    right = _judged_rightly(score, same, fold)
    return Influence(float(right.mean()), _centred(right / len(right), same))


def tar_at_far(score: np.ndarray, same: np.ndarray, far: float) -> Influence:
    """Return the true accept rate at a false accept rate.

    Impostor pairs near the threshold move it: ln(FAR) changes by their share, and TAR by its slope over ln(FAR).
    """
    genuine, impostors = np.sort(score[same]), np.sort(score[~same])
    allowed = verification.accepted_impostors(len(impostors), far)
    if allowed < 1:
        return Influence(math.nan, np.full(len(score), math.nan))
    value = verification.tar_at_far(genuine, impostors, far)
    if allowed >= len(impostors):
        return Influence(value, np.zeros(len(score)))
    threshold = impostors[-1 - allowed]
    few, many = allowed // WINDOW, min(allowed * WINDOW, len(impostors) - 1)
    tar_few, tar_many = (1 - np.searchsorted(genuine, impostors[-1 - k], "right") / len(genuine) for k in (few, many))
    slope = (tar_many - tar_few) / math.log((many + 1) / (few + 1))
    # pairs down to `many` say how much impostors depend on people; scaled to the variance of `allowed` independent ones
    counted = (score >= impostors[-1 - many]) / math.sqrt((many + 1) * allowed)
    return Influence(value, _centred(np.where(same, (score > threshold) / len(genuine), -slope * counted), same))


def auc(score: np.ndarray, same: np.ndarray) -> Influence:
    """Return the area under the ROC curve; the influences are the placements of DeLong et al. (1988)."""
    genuine, impostors = score[same], score[~same]
    share = np.empty(len(score))
    share[same] = _placement(genuine, np.sort(impostors)) / len(genuine)
    share[~same] = (1 - _placement(impostors, np.sort(genuine))) / len(impostors)
    return Influence(float(share[same].sum()), _centred(share, same))


def d_prime(score: np.ndarray, same: np.ndarray) -> Influence:
    """Return the difference of the means in units of the root mean square of the standard deviations."""
    value = verification.d_prime(score[same], score[~same])
    if math.isnan(value):
        return Influence(value, np.full(len(score), math.nan))
    score = score.astype(np.float64)
    mean = np.where(same, score[same].mean(), score[~same].mean())
    variance = (score[same].var() + score[~same].var()) / 2
    linear = np.where(same, 1, -1) * (score - mean) / math.sqrt(variance)
    squared = -value / (4 * variance) * (score - mean) ** 2
    return Influence(value, _centred((linear + squared) / _of_kind(same), same))


def equal_error_rate(score: np.ndarray, same: np.ndarray) -> Influence:
    """Return the mean of false reject and false accept rate where the two are nearest.

    Thresholds lie at scores, which are rejected, and below all; nothing is interpolated (ISO/IEC 19795-1 defines the
    rate at which both are equal, which a finite number of pairs need not have). A pair on the wrong side raises the
    rate of its kind and moves the threshold until both are equal again, which costs the more of the other kind, the
    more of its pairs lie there.
    """
    genuine, impostors = np.sort(score[same]), np.sort(score[~same])
    thresholds = np.append(-math.inf, np.unique(score))
    rejected = np.searchsorted(genuine, thresholds, "right")
    accepted = len(impostors) - np.searchsorted(impostors, thresholds, "right")
    at = np.abs(rejected * len(impostors) - accepted * len(genuine)).argmin()
    frr, far = rejected / len(genuine), accepted / len(impostors)
    value = float(frr[at] + far[at]) / 2
    low, high = np.flatnonzero(frr <= value / WINDOW)[-1], np.flatnonzero(far <= value / WINDOW)[0]
    of_genuine, of_impostors = frr[high] - frr[low], far[low] - far[high]  # the shares of both that lie in between
    if of_genuine + of_impostors == 0:
        of_genuine = of_impostors = 0.5
    wrong = (score > thresholds[at]) != same
    weight = np.where(same, of_impostors, of_genuine) / (of_genuine + of_impostors)
    return Influence(value, _centred(wrong * weight / _of_kind(same), same))


def fisher_ratio(score: np.ndarray, same: np.ndarray) -> Influence:
    """Return Fisher's discriminant ratio, the squared difference of the means over the sum of the variances.

    Poh and Bengio, "A study of the effects of score normalisation prior to fusion in biometric authentication tasks",
    2004; half of d' squared. NaN where no score varies.
    """
    value, pairs = d_prime(score, same)
    return Influence(value**2 / 2, value * pairs)


def _judged_rightly(score: np.ndarray, same: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Return which pairs (p,) the threshold of the other folds judges rightly, as `verification` counts them."""
    order = np.argsort(score, kind="stable")
    score, same, fold = score[order], same[order], fold[order]
    right = np.empty(len(score), bool)
    for f in np.unique(fold):
        test = fold == f
        train = score[~test]
        gain = np.cumsum(np.where(same[~test], -1, 1))  # of rejecting all up to here, against accepting all
        gain[:-1][train[1:] == train[:-1]] = -len(score)  # a threshold cannot lie between equal scores
        best = int(np.argmax(gain))
        threshold = train[best] if gain[best] > 0 else -math.inf
        right[order[test]] = (score[test] > threshold) == same[test]
    return right


def _placement(x: np.ndarray, ordered: np.ndarray) -> np.ndarray:
    """Return the share of `ordered` below each of x, ties counting half."""
    twice = np.searchsorted(ordered, x, "left") + np.searchsorted(ordered, x, "right")
    return twice / (2 * len(ordered))


def _of_kind(same: np.ndarray) -> np.ndarray:
    """Return how many pairs are of each pair's kind, (p,)."""
    return np.where(same, same.sum(), (~same).sum())


def _centred(share: np.ndarray, same: np.ndarray) -> np.ndarray:
    return share - np.where(same, share[same].mean(), share[~same].mean())
