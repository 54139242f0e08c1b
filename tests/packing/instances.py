"""Galleries that crowd into some directions, as embeddings of faces do."""

import numpy as np

from stages.common import sphere


def gallery(n: int, d: int = 24, seed: int = 5) -> np.ndarray:
    """Return unit rows (n, d) whose coordinates fall off in size."""
    return sphere.unit_rows(np.random.default_rng(seed).standard_normal((n, d)) * np.exp(-np.arange(d) / 10) + 0.06)
