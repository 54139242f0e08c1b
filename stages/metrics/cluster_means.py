"""Means of values that come in clusters (the images of one identity), with bootstrap intervals over the clusters."""

from collections.abc import Iterator

import numpy as np
from scipy.sparse import csr_array

from stages.common.streams import stream

REPLICATES = 1000
CONFIDENCE = 0.95
WEIGHTS = 1 << 22  # of clusters, drawn at a time: 34 MB


def means(value: np.ndarray, cluster: np.ndarray, seed: int) -> np.ndarray:
    """Return the mean of each column of `value` (b, k) with its 95 % interval, (k, 3): value, low, high.

    Percentile intervals over resamples of whole clusters (b,).
    """
    _, member = np.unique(cluster, return_inverse=True)
    count = np.bincount(member).astype(np.float64)
    total = np.zeros((len(count), value.shape[1]))
    np.add.at(total, member, value.astype(np.float64))
    resampled = np.concatenate([weight @ total / (weight @ count)[:, None] for weight in _weights(len(count), seed)])
    return _with_interval(value.mean(axis=0), resampled)


def _weights(clusters: int, seed: int) -> Iterator[np.ndarray]:
    """Yield how often each cluster is drawn in some of the replicates, (replicates, clusters)."""
    rng, replicates = stream("resampled clusters", seed, clusters), max(WEIGHTS // clusters, 1)
    for begin in range(0, REPLICATES, replicates):
        yield rng.multinomial(clusters, np.full(clusters, 1 / clusters), min(replicates, REPLICATES - begin))


def _with_interval(value: np.ndarray, resampled: np.ndarray) -> np.ndarray:
    low, high = np.quantile(resampled, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], axis=0)
    return np.column_stack([value, low, high])


def mean(value: np.ndarray, cluster: np.ndarray, seed: int) -> dict[str, float]:
    """Return the mean of `value` (b,) and its 95 % percentile interval when whole clusters (b,) are resampled."""
    return dict(zip(("value", "low", "high"), means(value[:, None], cluster, seed)[0].tolist(), strict=True))


class Kinds:
    """Means of values that depend on an item's kind (b,) alone: many columns of them cost little."""

    def __init__(self, kind: np.ndarray, cluster: np.ndarray, seed: int) -> None:
        """Count the kinds, numbered from 0, among all items and in every resample of whole clusters (b,)."""
        clusters, member = np.unique(cluster, return_inverse=True)
        count = csr_array((np.ones(len(kind)), (kind, member)))  # (kinds, clusters)
        drawn = np.concatenate([(count @ weight.T).T for weight in _weights(len(clusters), seed)])
        self.share, self.drawn = np.bincount(kind) / len(kind), drawn / drawn.sum(1, keepdims=True)

    def means(self, value: np.ndarray) -> np.ndarray:
        """Return what `means` returns, (k, 3), for the values (kinds, k) of each kind, up to rounding."""
        return _with_interval(self.share @ value, self.drawn @ value)
