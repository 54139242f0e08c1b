"""Rows in orbits: a cyclic shift of the coordinates takes every row to another one, so that a few rows stand for all.

Without a gallery all directions are alike, and a packing may be symmetric at no loss: at d = 512, m = 10,000, orbits of
16, 25 and 100 rows end at the same cosine of the closest pair, and take as many times less work. (A simpler symmetry,
each row with its opposite, ends far higher.)
"""

import torch
from torch import Tensor

MOST = 32  # rows in an orbit
COORDINATES, ORBITS = 8, 50  # at least: coordinates for each row of an orbit, and orbits


def size(m: int, d: int) -> int:
    """Return how many rows an orbit has when m rows are packed in d dimensions: 1 where m or d is too small."""
    most = max(min(MOST, d // COORDINATES, m // ORBITS), 1)
    return max(count for count in range(1, most + 1) if d % count == 0)


def expanded(x: Tensor, count: int) -> Tensor:
    """Return the rows (count * r, d) of the orbits of x (r, d): first x, then all its rows shifted once, and so on."""
    stride = x.shape[1] // count
    return x if count == 1 else torch.cat([x.roll(k * stride, 1) for k in range(count)])
