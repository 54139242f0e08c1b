"""Face verification metrics of one set of scored pairs: genuine pairs show one person, impostor pairs two.

A pair is accepted when its score is above the threshold; a score equal to the threshold is a rejection.
`metrics.influence` takes the same metrics apart by pairs, `metrics.comparisons` weights them; tests hold them equal.
"""

import math

import numpy as np


def ten_fold_accuracy(score: np.ndarray, same: np.ndarray, fold: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the share of pairs judged rightly, and that of each fold (folds,), as the LFW protocol does.

    score, same, fold: (p,). The threshold of a fold is the score with the highest accuracy on the pairs of the other
    folds, among equals the lowest (minus infinity: accept all). The first number is the mean of the folds weighted by
    their sizes: their plain mean where all are equally large, as in every published protocol. Raises ValueError when
    there are fewer than two folds.
    """
    folds, fold = np.unique(fold, return_inverse=True)
    if len(folds) < 2:
        raise ValueError(f"{len(folds)} fold of pairs; allowed: two or more")
    right = np.empty(len(score), bool)
    for f in range(len(folds)):
        test = fold == f
        right[test] = (score[test] > _best_threshold(score[~test], same[~test])) == same[test]
    sizes = np.bincount(fold)
    return float(right.mean()), np.bincount(fold, right) / sizes


def _best_threshold(score: np.ndarray, same: np.ndarray) -> float:
    order = np.argsort(score, kind="stable")
    score, same = score[order], same[order]
    gain = np.cumsum(np.where(same, -1, 1))  # pairs won by rejecting all up to here, against accepting all
    last = np.append(score[1:] > score[:-1], True)  # a threshold cannot lie between equal scores
    best = int(np.argmax(np.where(last, gain, -len(score) - 1)))
    return float(score[best]) if gain[best] > 0 else -math.inf


def tar_at_far(cos_same: np.ndarray, cos_diff: np.ndarray, far: float) -> float:
    """Return the true accept rate at the lowest threshold whose false accept rate does not exceed `far`.

    cos_same (genuine,), cos_diff (impostors,): the threshold is an impostor's score, so ties with it are rejections,
    and nothing is interpolated. Raises ValueError when `far` is less than one impostor pair.
    """
    allowed = accepted_impostors(len(cos_diff), far)
    if allowed < 1:
        raise ValueError(f"FAR {far:g}: {len(cos_diff)} impostor pairs cannot measure it; allowed: 1 / FAR or more")
    if allowed >= len(cos_diff):
        return 1.0
    threshold = np.partition(cos_diff, len(cos_diff) - 1 - allowed)[len(cos_diff) - 1 - allowed]
    return float((cos_same > threshold).mean())


def accepted_impostors(impostors: float, far: float) -> int:
    """Return how many of `impostors` pairs may be accepted at `far`: 0.29 of 100 are 29, not 28 by rounding."""
    return math.floor(far * impostors * (1 + 1e-12))


def auc(cos_same: np.ndarray, cos_diff: np.ndarray) -> float:
    """Return the probability that a genuine pair scores above an impostor pair, ties counting half."""
    ordered = np.sort(cos_diff)
    below = np.searchsorted(ordered, cos_same, "left") + np.searchsorted(ordered, cos_same, "right")
    return float(below.mean() / (2 * len(cos_diff)))


def d_prime(cos_same: np.ndarray, cos_diff: np.ndarray) -> float:
    """Return the difference of the two means in units of the root mean square of the two standard deviations.

    NaN when the scores of neither kind of pair vary, as with a recogniser that gives every face one embedding.
    """
    variance = (cos_same.var(dtype=np.float64) + cos_diff.var(dtype=np.float64)) / 2
    difference = cos_same.mean(dtype=np.float64) - cos_diff.mean(dtype=np.float64)
    return float(difference / math.sqrt(variance)) if variance > 0 else math.nan


def roc(cos_same: np.ndarray, cos_diff: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the curve to draw, (FAR, TAR), from (0, 0) to (1, 1), a point for every score as threshold.

    Both are (points,) and never fall. The area under straight lines between the points is `auc`.
    """
    thresholds = np.unique(np.concatenate([cos_same, cos_diff]))[::-1]
    far = 1 - np.searchsorted(np.sort(cos_diff), thresholds, "right") / len(cos_diff)
    tar = 1 - np.searchsorted(np.sort(cos_same), thresholds, "right") / len(cos_same)
    return np.append(far, 1.0), np.append(tar, 1.0)
