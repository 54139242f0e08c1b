"""Choose random gallery rows to start from, and move apart those that are equal."""

import numpy as np

from stages.common import ranks, sphere
from stages.common.streams import stream

NEAR = 0.5  # length of the noise beside a gallery row of length one; its cosine to that row is about 0.9
DUPLICATE = 0.98  # rows closer than this count as equal


def start(x_ref: np.ndarray, m: int, seed: int) -> np.ndarray:
    """Return m unit rows (m, d) float32: random rows of the gallery x_ref (n, d), moved apart by `parted`."""
    return parted(x_ref, random_rows(len(x_ref), m, seed), seed)


def random_rows(n: int, m: int, seed: int) -> np.ndarray:
    """Return m indices of n rows (m,), all different while m <= n."""
    rng = stream("packing", seed)
    return np.concatenate([rng.permutation(n)[:m], rng.integers(n, size=max(m - n, 0))])


def parted(x_ref: np.ndarray, row: np.ndarray, seed: int) -> np.ndarray:
    """Return the gallery's rows `row` as unit rows (m, d) float32, moved where they repeat an earlier one.

    A repeated row becomes a random direction near it: equal rows have equal gradients, and would stay together.
    """
    x = x_ref[row]
    repeated = _nearest_earlier(x) > DUPLICATE
    noise = stream("repeated rows", seed).standard_normal((repeated.sum(), x.shape[1]))
    x[repeated] += (NEAR / np.sqrt(x.shape[1]) * noise).astype(np.float32)
    return sphere.unit_rows(x)


def _nearest_earlier(x: np.ndarray) -> np.ndarray:
    """Return the largest cosine (m,) of each row to a row before it; all ranks call this, and share many rows."""
    near, begins = np.zeros(len(x), np.float32), range(0, len(x), sphere.TILE)
    own = begins[ranks.rank() :: ranks.size()] if len(begins) > 1 else begins
    for begin in own:
        tile = near[begin : begin + sphere.TILE]
        tile.fill(-1)
        for other in range(0, begin + 1, sphere.TILE):
            cos = x[begin : begin + sphere.TILE] @ x[other : other + sphere.TILE].T
            if other == begin:
                cos = np.where(np.tri(len(cos), k=-1, dtype=bool), cos, np.float32(-1))
            np.maximum(tile, cos.max(axis=1), out=tile)
    return ranks.total(near) if len(begins) > 1 else near
