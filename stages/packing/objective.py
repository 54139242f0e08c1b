"""Compute HyperFace's objective exactly, in tiles: no m x m matrix.

J(X) = separation(X) + alpha * mean_k (1 - max_g cos(x_k, g)), less is better (HyperFace, arXiv 2411.08470, its loss
with cosine distance d = 1 - cos, up to the constant 1).
"""

from dataclasses import dataclass

import numpy as np
import torch

from stages.common import sphere
from stages.common.devices import device
from stages.packing import neighbours, tiles
from stages.packing.collectives import Exchange
from stages.packing.neighbours import nearest_gallery


@dataclass(frozen=True)
class Objective:
    """The objective of rows (m, d) and its terms.

    nearest, gallery: each row's cosine (m,) to its nearest other row, and to its nearest gallery row.
    """

    separation: float
    gallery_term: float
    value: float
    nearest: np.ndarray
    gallery: np.ndarray


def objective(x: np.ndarray, x_ref: np.ndarray, alpha: float, reading: str) -> Objective:
    """Return the objective of unit rows x (m, d), m > 1, beside the gallery x_ref (n, d); `reading` as in `combine`.

    Ranks share more rows than a tile holds: all of them call this. Raises ValueError when the two differ in d.
    """
    if x.shape[1] != x_ref.shape[1]:
        raise ValueError(f"rows have {x.shape[1]} dimensions; allowed: {x_ref.shape[1]}, as the gallery")
    return combine(nearest(x), gallery_cosines(x, x_ref), alpha, reading)


def nearest(x: np.ndarray) -> np.ndarray:
    """Return the cosine (m,) of each unit row of x (m, d) to its nearest other row; all ranks call this."""
    if len(x) <= tiles.TILE:
        return sphere.nearest(x)[1]
    exchange, rows = Exchange(len(x)), torch.from_numpy(x).to(device())
    return exchange.maximum(tiles.nearest_other(rows, exchange.rank, exchange.size)).cpu().numpy()


def gallery_cosines(x: np.ndarray, x_ref: np.ndarray) -> np.ndarray:
    """Return the cosine (m,) of each unit row of x (m, d) to its nearest row of x_ref (n, d); all ranks call this.

    Of many rows, those that are gallery rows themselves need no search.
    """
    if len(x) <= tiles.TILE:
        return nearest_gallery(x, x_ref)[1]
    exchange = Exchange(len(x))
    x = x[exchange.own]
    row = neighbours.equal_rows(x, x_ref)
    own = np.einsum("md,md->m", x, x_ref[row])
    own[row < 0] = nearest_gallery(x[row < 0], x_ref)[1]
    return exchange.rows(torch.from_numpy(own).to(device())).cpu().numpy()


def combine(nearest: np.ndarray, gallery: np.ndarray, alpha: float, reading: str) -> Objective:
    """Return the objective from each row's cosine to its nearest other row and to its nearest gallery row, each (m,).

    reading: `closest` is the cosine of the closest pair, as the paper; `mean` averages over the rows.
    """
    separation = float({"closest": np.max, "mean": np.mean}[reading](nearest))
    gallery_term = float(np.mean(1 - gallery))
    return Objective(separation, gallery_term, separation + alpha * gallery_term, nearest, gallery)
