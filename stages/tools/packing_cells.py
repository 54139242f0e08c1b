"""Draw the instances on which packing is measured: galleries of many kinds, some to tune on, others for the figures.

A cell is a gallery, a number of rows to pack beside it, and alpha. The cells of one size are a Latin hypercube over the
axes below: each level of an axis appears as often as any other, and which levels meet is drawn. Tuning cells have seeds
and tightnesses of their own, so that none is a held-out cell. Beside these galleries stands the world's own: wild
people of the face world, embedded by the recogniser that is committed.
"""

from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from functools import lru_cache
from itertools import cycle

import numpy as np
from scipy.optimize import bisect

from stages.common import sphere
from stages.common.networks import load
from stages.common.streams import stream
from stages.packing.random_start import DUPLICATE
from stages.world.album import portraits

ALPHAS = (0.0, 0.125, 0.25, 0.5, 1.0, 2.0)
RATIOS = (0.05, 0.25, 1.0, 2.0)  # m / n
CLUSTERED = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)  # exponents of n: from one cluster to as many as there are rows
SPECTRA = {"flat": np.inf, "falling": 50.0, "steep": 15.0}  # decay: the variance of coordinate k is exp(-k / decay)
DUPLICATES = (0.0, 0.1, 0.2)  # share of the rows that repeat another
HELD_OUT, TUNING = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8), (0.35, 0.55, 0.75)  # tightness: mean cosine to the nearest row
TUNING_SEEDS = (900, 901)
NOISE = 1e-3  # on every coordinate of a repeated row
PROBED = 300  # rows on which tightness is measured
MOST_SHARED = 0.98  # the largest share of a row's square that its cluster's centre may have


@dataclass(frozen=True)
class Drawn:
    """A gallery of n rows in clusters, of this tightness or the nearest possible; `duplicates`: share of the rows."""

    n: int
    d: int
    tightness: float
    clusters: int
    spectrum: str
    duplicates: float
    seed: int

    def rows(self) -> np.ndarray:
        """Return the unit rows (n, d) float32; they have their tightness before some of them repeat others."""
        rows_at = self._family()

        def excess(position: float) -> float:
            return float(_nearest(rows_at(position)).mean()) - self.tightness

        # Where the tightness is out of reach, the nearer end.
        position = 0.0 if excess(0) >= 0 else 1.0 if excess(1) <= 0 else bisect(excess, 0, 1, xtol=1e-3)
        x = rows_at(float(position))  # pyright: ignore  # not the tuple of `full_output`
        rng = stream("cell duplicates", self.seed)
        repeats = int(self.duplicates * self.n)
        to, source = rng.permutation(self.n)[: 2 * repeats].reshape(2, repeats)
        x[to] = sphere.unit_rows(x[source] + NOISE * rng.standard_normal((repeats, self.d)))
        return x

    def _family(self) -> Callable[[float], np.ndarray]:
        """Return a function of a position from 0 to 1, along which the gallery that it returns gets tighter.

        The position is the share that a cluster's centre has in its rows or, where every row is a cluster of its own,
        the narrowness of the spectrum.
        """
        rng = stream("cell gallery", self.seed)
        rest = rng.standard_normal((self.n, self.d), np.float32)
        if self.clusters >= self.n:
            return lambda position: sphere.unit_rows(rest * self._size(4 * self.d * (1 / (2 * self.d)) ** position))
        size = self._size(min(SPECTRA[self.spectrum], self.d))
        centres = sphere.unit_rows(rng.standard_normal((self.clusters, self.d), np.float32) * size)
        own, rest = centres[rng.integers(self.clusters, size=self.n)], sphere.unit_rows(rest * size)

        def rows_at(position: float) -> np.ndarray:
            share = np.float32(MOST_SHARED * position)
            return sphere.unit_rows(np.sqrt(share) * own + np.sqrt(1 - share) * rest)

        return rows_at

    def _size(self, reach: float) -> np.ndarray:
        """Return the size of each coordinate (d,): the first `reach` or so are large."""
        k = np.arange(self.d, dtype=np.float32)
        return np.clip(reach - k, 0, 1) if self.spectrum == "flat" else np.exp(-k / (2 * reach))


@dataclass(frozen=True)
class World:
    """A gallery of wild people of the face world, one photograph each."""

    n: int
    d: int
    seed: int

    def rows(self) -> np.ndarray:
        """Return the unit rows (n, d) float32."""
        recogniser = load("data/pretrain/recogniser")
        album = portraits("timing", self.seed, self.n, 1, "wild", 0.5)
        return sphere.unit_rows(recogniser.embed(album.faces(slice(None), recogniser.size_px)))


@dataclass(frozen=True)
class Cell:
    """One instance: m rows to pack beside a gallery, at one alpha."""

    gallery: Drawn | World
    m: int
    alpha: float

    @property
    def name(self) -> str:
        """Return all parameters of the cell, as a file's name."""
        kind = type(self.gallery).__name__.lower()
        return "-".join(map(str, [kind, *astuple(self.gallery), self.m, self.alpha]))


@lru_cache(maxsize=1 + len(TUNING_SEEDS))
def rows(gallery: Drawn | World) -> np.ndarray:
    """Return the gallery's rows (n, d); the last few galleries are kept in memory."""
    return gallery.rows()


def tightness(x: np.ndarray) -> float:
    """Return the mean cosine of a row of x (n, d) to its nearest one, over rows without duplicate."""
    cos = _nearest(x)
    return float(cos[cos < DUPLICATE].mean())


def _nearest(x: np.ndarray) -> np.ndarray:
    """Return the cosine (PROBED,) of each of the first rows to its nearest other."""
    cos = x[:PROBED] @ x.T
    np.fill_diagonal(cos, -1)
    return cos.max(axis=1)


def drawn(
    d: int,
    m: int,
    count: int,
    seeds: Sequence[int],
    tight: Sequence[float] = HELD_OUT,
    alphas: Sequence[float] = ALPHAS,
) -> list[Cell]:
    """Return `count` cells of one size, sorted by alpha; they take the seeds in turn."""
    rng = stream("cell design", d, m)
    axes = (tight, CLUSTERED, list(SPECTRA), DUPLICATES, RATIOS, alphas)
    levels = [[axis[(2 * i + 1) * len(axis) // (2 * count)] for i in rng.permutation(count)] for axis in axes]
    cells = []
    for nearest, exponent, spectrum, duplicates, ratio, alpha, seed in zip(*levels, cycle(seeds), strict=False):
        n = round(m / ratio)
        cells.append(Cell(Drawn(n, d, nearest, round(n**exponent), spectrum, duplicates, seed), m, alpha))
    return sorted(cells, key=lambda cell: cell.alpha)


def world(d: int, m: int, n: int, alphas: Sequence[float], seed: int) -> list[Cell]:
    """Return the cells of one of the world's galleries, by alpha."""
    return [Cell(World(n, d, seed), m, alpha) for alpha in alphas]


def tuning(cell: Cell) -> list[Cell]:
    """Return the cells on which the loop is tuned for a held-out cell: of its kind, size and alpha."""
    if isinstance(cell.gallery, World):
        return [Cell(World(cell.gallery.n, cell.gallery.d, seed), cell.m, cell.alpha) for seed in TUNING_SEEDS]
    return drawn(cell.gallery.d, cell.m, len(TUNING_SEEDS), TUNING_SEEDS, TUNING, (cell.alpha,))
