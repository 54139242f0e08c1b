"""Means of values that come in clusters (the images of one identity), with bootstrap intervals over the clusters."""

import numpy as np

from stages.common.streams import stream

REPLICATES = 1000
CONFIDENCE = 0.95


def means(value: np.ndarray, cluster: np.ndarray, seed: int) -> np.ndarray:
    """Return the mean of each column of `value` (b, k) with its 95 % interval, (k, 3): value, low, high.

    Percentile intervals over resamples of whole clusters (b,).
    """
    _, member = np.unique(cluster, return_inverse=True)
    count = np.bincount(member).astype(np.float64)
    total = np.zeros((len(count), value.shape[1]))
    np.add.at(total, member, value.astype(np.float64))
    rng = stream("resampled clusters", seed, len(count))
    weight = rng.multinomial(len(count), np.full(len(count), 1 / len(count)), REPLICATES)  # (replicates, clusters)
    resampled = weight @ total / (weight @ count)[:, None]
    low, high = np.quantile(resampled, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], axis=0)
    return np.column_stack([value.mean(axis=0), low, high])


def mean(value: np.ndarray, cluster: np.ndarray, seed: int) -> dict[str, float]:
    """Return the mean of `value` (b,) and its 95 % percentile interval when whole clusters (b,) are resampled."""
    return dict(zip(("value", "low", "high"), means(value[:, None], cluster, seed)[0].tolist(), strict=True))
