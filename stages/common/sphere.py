"""Geometry of unit rows: normalising, nearest neighbours, angles."""

import numpy as np

TILE = 1024  # rows a tile; (TILE, TILE) float32 is 4 MB


def unit_rows(x: np.ndarray) -> np.ndarray:
    """Return the rows of `x` (n, d) at length one, float32; raises ValueError on a row of length zero."""
    norm = np.linalg.norm(x.astype(np.float64), axis=1, keepdims=True)
    if not (norm > 0).all():
        raise ValueError(f"row {int(np.argmin(norm))} has length zero")
    return (x / norm).astype(np.float32)


def nearest(x: np.ndarray, y: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return, for each unit row of `x` (m, d), the index and cosine of its nearest row of `y` (n, d).

    Without `y` the rows of `x` are compared among themselves, and no row is its own neighbour. Works in tiles: memory
    O(TILE * n). Returns (m,) int64 and (m,) float32.
    """
    targets = x if y is None else y
    index, cosine = [], []
    for start in range(0, len(x), TILE):
        cos = x[start : start + TILE] @ targets.T  # (tile, n)
        if y is None:
            rows = np.arange(len(cos))
            cos[rows, start + rows] = -np.inf
        index.append(cos.argmax(axis=1))
        cosine.append(cos.max(axis=1))
    return np.concatenate(index), np.concatenate(cosine).astype(np.float32)


def angle_deg(cosine: np.ndarray) -> np.ndarray:
    """Return the angle of each cosine in degrees."""
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))
