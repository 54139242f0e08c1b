"""Closed forms: arrangements of few rows whose closest pair is as far apart as possible, or as is known.

Proven to be best: the simplex and the orthoplex (Rankin 1955), the polygon, and the root systems D4 (de Laat,
Leijenhorst and de Muinck Keizer, arXiv 2404.18794) and E8, which attains Levenshtein's bound. The roots of D5, E6 and
E7 are only the best known: no proof rules out a cosine below 1/2 for their 40, 72 and 126 rows, nor 44, 77 and 134 rows
at 1/2 (Mittelmann and Vallentin 2010; for 77 the paper above).
"""

from itertools import combinations, product

import numpy as np

from stages.common import sphere
from stages.common.streams import stream
from stages.packing.neighbours import nearest_gallery

ROOTS = {4: 24, 5: 40, 6: 72, 7: 126, 8: 240}  # rows by dimension: D4, D5, E6, E7, E8
ROTATIONS, TURNS, SAMPLE = 4, 10, 4096  # of `turned`: beginnings, steps from each, gallery rows that they look at


def known(m: int, d: int) -> bool:
    """Return whether `optimum` holds m rows in d dimensions."""
    return m <= 2 * d or d == 2 or ROOTS.get(d) == m


def optimum(m: int, d: int, seed: int) -> np.ndarray:
    """Return m unit rows (m, d) float32, at a random rotation."""
    assert known(m, d)
    if m <= d + 1:
        return rotated(simplex(m), d, seed)
    return rotated(polygon(m) if d == 2 else orthoplex(m, d) if m <= 2 * d else roots(d), d, seed)


def rotated(rows: np.ndarray, d: int, seed: int) -> np.ndarray:
    """Return rows (m, d or fewer) as unit rows (m, d) float32, turned by a random element of the orthogonal group."""
    q, r = np.linalg.qr(stream("packing", seed).standard_normal((d, d)))
    return sphere.unit_rows(rows @ (q * np.sign(np.diag(r)))[: rows.shape[1]])


def turned(x: np.ndarray, x_ref: np.ndarray, seed: int) -> np.ndarray:
    """Return rows x (m, d) turned towards the gallery x_ref (n, d), never farther from it in the mean than x.

    Turning begins at x and at random rotations of it, ROTATIONS in all. Each of TURNS steps takes the rotation that
    brings the rows nearest to what were their nearest gallery rows (Procrustes). The steps look at a sample of a large
    gallery; the choice among the results looks at all of it.
    """
    sample = x_ref[:: -(-len(x_ref) // SAMPLE)]
    rotations = [x]
    for k in range(ROTATIONS):
        y = x if k == 0 else rotated(x, x.shape[1], seed + k)
        for _ in range(TURNS):
            u, _, v = np.linalg.svd(y.T.astype(np.float64) @ sample[sphere.nearest(y, sample)[0]])
            y = sphere.unit_rows(y @ (u @ v))
        rotations.append(y)
    return max(rotations, key=lambda y: float(nearest_gallery(y, x_ref)[1].mean()))


def simplex(m: int) -> np.ndarray:
    """Return m unit rows (m, m - 1) float64 at pairwise cosines -1 / (m - 1)."""
    centred = np.eye(m) - 1 / m
    # Helmert's rows, an orthonormal basis of the hyperplane that holds the centred basis
    k = np.arange(1, m)[:, None]
    helmert = (np.tri(m - 1, m, 0) - k * np.eye(m - 1, m, 1)) / np.sqrt(k * (k + 1))
    return centred @ helmert.T * np.sqrt(m / (m - 1))


def orthoplex(m: int, d: int) -> np.ndarray:
    """Return m <= 2 d unit rows (m, d) float64: the axes, then their opposites; pairwise cosines 0 and -1."""
    return np.concatenate([np.eye(d), -np.eye(d)])[:m]


def polygon(m: int) -> np.ndarray:
    """Return the corners (m, 2) float64 of a regular polygon."""
    angle = 2 * np.pi * np.arange(m) / m
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def roots(d: int) -> np.ndarray:
    """Return the roots of D4, D5, E6, E7 or E8 as unit rows (ROOTS[d], d) float64; pairwise cosines are halves.

    Those of E8 are +-e_i +- e_j and all (+-1/2, ..., +-1/2) with an even number of minus signs. Among them E7, E6 and
    D5 are those whose coordinates are equal from the d-th on, and D4 those that are zero from the fifth on.
    """
    axes, signs = np.eye(8), np.array(list(product((-1, 1), repeat=8)))
    pairs = [a * axes[i] + b * axes[j] for i, j in combinations(range(8), 2) for a, b in product((-1, 1), repeat=2)]
    e8 = np.concatenate([pairs, signs[signs.prod(1) == 1] / 2]) / np.sqrt(2)
    if d == 4:
        return e8[(e8[:, 4:] == 0).all(1), :4]
    rows = e8[(e8[:, d - 1 :] == e8[:, -1:]).all(1), :d]
    rows[:, -1] *= np.sqrt(9 - d)  # the equal coordinates as one of the same length
    return rows
