"""Closed forms: arrangements of few rows whose closest pair is proven to be as far apart as possible (Rankin 1955)."""

import numpy as np

from stages.common import sphere


def known(m: int, d: int) -> bool:
    """Return whether `optimum` holds m rows in d dimensions."""
    return m <= 2 * d or d == 2


def optimum(m: int, d: int, seed: int) -> np.ndarray:
    """Return m unit rows (m, d) float32 that attain `bounds.lower_bound`, at a random rotation."""
    assert known(m, d)
    rows = simplex(m) if m <= d + 1 else polygon(m) if d == 2 else orthoplex(m, d)
    q, r = np.linalg.qr(np.random.default_rng(seed).standard_normal((d, d)))
    return sphere.unit_rows(rows @ (q * np.sign(np.diag(r)))[: rows.shape[1]])


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
