"""Galleries that crowd into some directions, as embeddings of faces do."""

import numpy as np

from stages.common import sphere


def gallery(n: int, d: int = 24, seed: int = 5) -> np.ndarray:
    """Return unit rows (n, d) whose coordinates fall off in size."""
    return sphere.unit_rows(np.random.default_rng(seed).standard_normal((n, d)) * np.exp(-np.arange(d) / 10) + 0.06)


def clustered(n: int, d: int, clusters: int = 60, seed: int = 3) -> np.ndarray:
    """Return unit rows (n, d) around centres, tighter than `gallery`: the nearest row is at cosine 0.6."""
    rng = np.random.default_rng(seed)
    size = np.exp(-np.arange(d) / 30)
    centres, rest = (sphere.unit_rows(rng.standard_normal((k, d)) * size) for k in (clusters, n))
    return sphere.unit_rows(0.55**0.5 * centres[rng.integers(clusters, size=n)] + 0.45**0.5 * rest)
