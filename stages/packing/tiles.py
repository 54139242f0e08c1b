"""Products of rows in tiles: fast bfloat16 for the direction of a step, exact float32 for J.

Tiles begin at multiples of TILE whatever the number of ranks, so that a row's numbers do not depend on it.
"""

import torch
from torch import Tensor

TILE = 1024  # rows; a tile of m = 100,000 columns is 200 MB in bfloat16


def tiles(m: int) -> list[slice]:
    """Return the tiles of m rows."""
    return [slice(begin, min(begin + TILE, m)) for begin in range(0, m, TILE)]


def nearest_other(x: Tensor, first: int = 0, every: int = 1) -> Tensor:
    """Return the float32 cosine (m,) of each unit row of x (m, d) to its nearest other row, exactly.

    Only tiles on and above the diagonal are computed: each gives the maxima of its rows and of its columns. A rank
    takes every `every`-th row of tiles, beginning with `first`; the result is then the maximum over the ranks.
    """
    near = x.new_full((len(x),), -2.0)
    parts = tiles(len(x))
    for i in range(first, len(parts), every):
        for j in range(i, len(parts)):
            cos = x[parts[i]] @ x[parts[j]].T  # (tile, tile)
            if i == j:
                cos.fill_diagonal_(-2)
            else:
                near[parts[j]] = torch.maximum(near[parts[j]], cos.amax(0))
            near[parts[i]] = torch.maximum(near[parts[i]], cos.amax(1))
    return near


def nearest_among(own: Tensor, all_rows: Tensor, first: int) -> Tensor:
    """Return the float32 cosine (own,) of rows own (own, d), those from `first` on of all (m, d), to their nearest."""
    near = own.new_full((len(own),), -2.0)
    for a in tiles(len(own)):
        for b in tiles(len(all_rows)):
            cos = own[a] @ all_rows[b].T  # (tile, tile)
            diagonal = first + a.start - b.start
            if -len(cos) < diagonal < cos.shape[1]:
                cos.diagonal(diagonal).fill_(-2)
            near[a] = torch.maximum(near[a], cos.amax(1))
    return near


def nearest_row(x: Tensor, rows: Tensor) -> Tensor:
    """Return the index (m,) of the row (n, d) nearest to each of x (m, d), by products in the dtype that both have."""
    best, cosine = x.new_zeros(len(x), dtype=torch.long), x.new_full((len(x),), -2.0)
    for a in tiles(len(x)):
        for b in tiles(len(rows)):
            largest, index = (x[a] @ rows[b].T).max(1)  # (tile, tile)
            nearer = largest > cosine[a]
            best[a] = torch.where(nearer, index + b.start, best[a])
            cosine[a] = torch.where(nearer, largest, cosine[a])
    return best
