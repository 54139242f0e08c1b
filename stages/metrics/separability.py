"""How well genuine and impostor scores separate, without a threshold of one's own: equal error rate and FDR.

As in `bootstrap`, a weight counts a pair that many times, and the plain metric is the weighted one with weights of one.
"""

import numpy as np

from stages.metrics import draws
from stages.metrics.bootstrap import Estimate, Pairs

NAMES = ("eer", "fdr")


def estimate(score: np.ndarray, pairs: Pairs, replicates: int, seed: int) -> Estimate:
    """Return both metrics of scores (s, p), a row per training seed, with the replicates that `bootstrap` draws."""
    per_seed = np.concatenate([weighted(row, pairs.same, np.ones((1, len(row)), np.int32)) for row in score])
    drawn = draws.chunks(pairs, replicates, seed)
    replicated = np.concatenate([np.mean([weighted(row, pairs.same, w) for row in score], axis=0) for w in drawn])
    return Estimate(NAMES, per_seed, np.maximum(replicated, 0))


def weighted(score: np.ndarray, same: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return equal error rate and FDR of scores (p,) under weights (r, p), (r, 2)."""
    order = np.argsort(score, kind="stable")
    score, same, w = score[order], same[order], weights[:, order]  # ascending in score
    return np.stack([_equal_error(score, same, w), _fisher(score, same, w)], axis=1)


def _equal_error(score: np.ndarray, same: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Return the mean of false reject and false accept rate where the two are nearest, (r,).

    Thresholds lie at scores, which are rejected, and below all; nothing is interpolated (ISO/IEC 19795-1 defines the
    rate at which both are equal, which a finite number of pairs need not have).
    """
    last = np.flatnonzero(np.append(score[1:] > score[:-1], True))  # equal scores are rejected together
    rejected = [np.cumsum(w * kind, axis=1, dtype=np.int32) for kind in (same, ~same)]
    genuine, impostor = (
        np.pad(kind if len(last) == len(score) else kind[:, last], ((0, 0), (1, 0))) for kind in rejected
    )
    total, others = genuine[:, -1:].astype(np.float64), impostor[:, -1:].astype(np.float64)
    above = (genuine / total + impostor / others < 1).sum(axis=1)  # the first threshold whose FRR is not below its FAR
    rates = []
    for at in (above - 1, above):
        frr, kept = (np.take_along_axis(kind, at[:, None], 1) for kind in (genuine, impostor))
        rates.append(np.concatenate([frr / total, 1 - kept / others], axis=1))
    before, after = (np.abs(rate[:, 0] - rate[:, 1]) for rate in rates)
    return np.where(before <= after, rates[0].mean(axis=1), rates[1].mean(axis=1))


def _fisher(score: np.ndarray, same: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Return Fisher's discriminant ratio, the squared difference of the means over the sum of the variances, (r,).

    Poh and Bengio, "A study of the effects of score normalisation prior to fusion in biometric authentication tasks",
    2004; half of d' squared. NaN where no score varies.
    """
    moments = []
    for kind in (same, ~same):
        x = score[kind].astype(np.float64)
        shift = x.mean()  # about the mean, or the variance of close scores would cancel
        sums = w[:, kind].astype(np.float64) @ np.stack([np.ones_like(x), x - shift, (x - shift) ** 2], axis=1)
        mean = sums[:, 1] / sums[:, 0]
        moments.append((mean + shift, np.maximum(sums[:, 2] / sums[:, 0] - mean**2, 0)))
    (mean_same, var_same), (mean_diff, var_diff) = moments
    variance = var_same + var_diff
    return np.where(variance > 0, (mean_same - mean_diff) ** 2, np.nan) / np.where(variance > 0, variance, 1)
