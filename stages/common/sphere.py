"""Geometry of unit rows: normalising, nearest neighbours, angles."""

import numpy as np

from stages.common.devices import device

TILE = 1024  # rows a tile; (TILE, TILE) float32 is 4 MB
COLUMNS = 1 << 14  # rows that a tile is compared with at a time: 67 MB


def unit_rows(x: np.ndarray) -> np.ndarray:
    """Return the rows of `x` (n, d) at length one, float32; raises ValueError on one of length zero or not finite."""
    norm = np.linalg.norm(x.astype(np.float64), axis=1, keepdims=True)
    if not ((norm > 0) & np.isfinite(norm)).all():
        row = int(np.argmin(np.where(np.isfinite(norm), norm, -1)))
        raise ValueError(f"row {row} {'has length zero' if norm[row] == 0 else 'is not finite'}")
    return (x / norm).astype(np.float32)


def nearest(x: np.ndarray, y: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return, for each unit row of `x` (m, d), the index and cosine of its nearest row of `y` (n, d).

    Without `y` the rows of `x` are compared among themselves, and no row is its own neighbour. Works in tiles: memory
    O(TILE * COLUMNS), on the CPU or on this rank's GPU. Returns (m,) int64 and (m,) float32.
    """
    return _nearest(x, x, np.arange(len(x))) if y is None else _nearest(x, y, None)


def nearest_of(own: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what `nearest` returns for some rows `own` (m,) of y (n, d), none of which is its own neighbour."""
    return _nearest(y[own], y, own)


def _nearest(x: np.ndarray, y: np.ndarray, own: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the nearest row of y to each of x; `own` (m,): the row of y that each is, not to be taken."""
    if device().type == "cuda":
        return nearest_by_torch(x, y, own)
    index, cosine = np.zeros(len(x), np.int64), np.full(len(x), -np.inf, np.float32)
    for start in range(0, len(x), TILE):
        rows = np.arange(start, min(start + TILE, len(x)))
        for begin in range(0, len(y), COLUMNS):
            cos = x[rows] @ y[begin : begin + COLUMNS].T  # (tile, columns)
            if own is not None:
                column = own[rows] - begin
                inside = (column >= 0) & (column < cos.shape[1])
                cos[inside, column[inside]] = -np.inf
            place, largest = cos.argmax(axis=1), cos.max(axis=1)
            nearer = largest > cosine[rows]
            index[rows[nearer]], cosine[rows[nearer]] = begin + place[nearer], largest[nearer]
    return index, cosine


def nearest_by_torch(x: np.ndarray, y: np.ndarray, own: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return what `_nearest` returns, up to rounding, by torch on this rank's device."""
    import torch

    targets, column = torch.tensor(y, device=device()), torch.arange(COLUMNS, device=device())
    index, cosine = targets.new_zeros(len(x), dtype=torch.long), targets.new_full((len(x),), -torch.inf)
    for start in range(0, len(x), TILE):
        rows = slice(start, min(start + TILE, len(x)))
        one = torch.tensor(x[rows], device=device())
        for begin in range(0, len(y), COLUMNS):
            cos = one @ targets[begin : begin + COLUMNS].T  # (tile, columns)
            if own is not None:
                itself = torch.tensor(own[rows, None], device=device()) == begin + column[: cos.shape[1]]
                cos.masked_fill_(itself, -torch.inf)
            largest, place = cos.max(dim=1)
            index[rows] = torch.where(largest > cosine[rows], begin + place, index[rows])
            cosine[rows] = torch.maximum(largest, cosine[rows])
    return index.cpu().numpy(), cosine.cpu().numpy()


def angle_deg(cosine: np.ndarray) -> np.ndarray:
    """Return the angle of each cosine in degrees."""
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))
