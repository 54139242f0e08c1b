"""Means of values that come in clusters (the images of one identity), with bootstrap intervals over the clusters."""

import numpy as np

REPLICATES = 1000
CONFIDENCE = 0.95


def mean(value: np.ndarray, cluster: np.ndarray, seed: int) -> dict[str, float]:
    """Return the mean of `value` (b,) and its 95 % percentile interval when whole clusters (b,) are resampled."""
    _, member = np.unique(cluster, return_inverse=True)
    count = np.bincount(member).astype(np.float64)
    total = np.bincount(member, weights=value.astype(np.float64))
    rng = np.random.default_rng([seed, len(count)])
    weight = rng.multinomial(len(count), np.full(len(count), 1 / len(count)), REPLICATES)  # (replicates, clusters)
    low, high = np.quantile(weight @ total / (weight @ count), [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return {"value": float(value.mean()), "low": float(low), "high": float(high)}
