"""Spread few rows in few dimensions as far apart as can be found: many restarts at once, then an exact polish.

The maximum over pairs is replaced by log(sum exp(beta cos)) / beta with beta rising from 4: so soft a beginning lets
rows flow past each other into the basin of the optimum, which a squared hinge misses (24 rows in 4 dimensions).
Half of the restarts keep rows in opposite pairs, as many optima have them (24-cell, 600-cell, roots of
E8): their space is half as large, and 240 rows in 8 dimensions are found in no other way that was tried.
"""

import numpy as np
from scipy.optimize import minimize

from stages.common import sphere

BETA = (4.0, 1000.0)  # of the anneal, first and last
STEPS = 300
STRIDE = 100.0  # times 1 / beta: how far the most crowded row is pushed in a step, in cosine
MOMENTUM = 0.9
SHARP = (1e3, 1e4, 1e5)  # beta of the polish; the last leaves an error of about log(pairs) / beta in cosine
RESTARTS = (4, 32)  # of each kind, fewest and most
PAIRS = 300_000  # cosines a step over the restarts of a kind, which bounds the time
POLISHED = 40_000  # cosines a step over the restarts that are polished, the best one at least, four at most


def solves(m: int, d: int) -> bool:
    """Return whether `optimum` takes m rows in d dimensions: a few seconds at most."""
    return d <= 8 and m <= 256


def optimum(m: int, d: int, seed: int) -> np.ndarray:
    """Return m unit rows (m, d) float32, of all restarts those whose closest pair is farthest apart."""
    rng = np.random.default_rng(seed)
    restarts = int(np.clip(PAIRS // m**2, *RESTARTS))
    found = list(_anneal(rng.standard_normal((restarts, m, d)), paired=False))
    if m % 2 == 0:
        found += list(_anneal(rng.standard_normal((restarts, m // 2, d)), paired=True))
    found = sorted(found, key=_closest)[: np.clip(POLISHED // m**2, 1, 4)]
    return sphere.unit_rows(min([*found, *map(_polish, found)], key=_closest))


def _anneal(y: np.ndarray, paired: bool) -> np.ndarray:
    """Return the rows (restarts, m, d) that y (restarts, rows, d) flow to; paired: each with its opposite.

    Gradient descent with momentum on the log-sum-exp, in steps of STRIDE / beta.
    """
    y, velocity = _unit(y), np.zeros_like(y)
    for beta in np.geomspace(*BETA, STEPS):
        cos = y @ _all(y, paired).swapaxes(1, 2)
        _forbid_self(cos)
        weight = np.exp(beta * (cos - cos.max(axis=(1, 2), keepdims=True)))  # (restarts, rows, m)
        force = weight @ _all(y, paired) / weight.sum(axis=2).max(axis=1)[:, None, None]
        velocity = MOMENTUM * velocity - (1 - MOMENTUM) * STRIDE / beta * force
        velocity -= (velocity * y).sum(axis=2, keepdims=True) * y
        y = _unit(y + velocity)
    return _all(y, paired)


def _polish(x: np.ndarray) -> np.ndarray:
    """Return the rows (m, d) at the nearest minimum of an ever sharper log-sum-exp, by L-BFGS."""
    m, d = x.shape

    def smooth(flat: np.ndarray, beta: float) -> tuple[float, np.ndarray]:
        free = flat.reshape(m, d)
        length = np.linalg.norm(free, axis=1, keepdims=True)
        unit = free / length
        cos = unit @ unit.T
        np.fill_diagonal(cos, -np.inf)
        top = cos.max()
        weight = np.exp(beta * (cos - top))
        gradient = 2 * weight @ unit / weight.sum()
        gradient -= (gradient * unit).sum(axis=1, keepdims=True) * unit
        return top + np.log(weight.sum()) / beta, (gradient / length).ravel()

    for beta in SHARP:
        options = {"maxiter": 300, "maxcor": 20, "ftol": 0, "gtol": 1e-9}
        x = _unit(minimize(smooth, x.ravel(), (beta,), "L-BFGS-B", jac=True, options=options).x.reshape(m, d))
    return x


def _unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def _all(y: np.ndarray, paired: bool) -> np.ndarray:
    return np.concatenate([y, -y], axis=1) if paired else y


def _forbid_self(cos: np.ndarray) -> None:
    """Take each row's cosine to itself, and to its fixed opposite, out of cos (restarts, rows, m or 2 m) in place."""
    rows = np.arange(cos.shape[1])
    for begin in range(0, cos.shape[2], cos.shape[1]):
        cos[:, rows, begin + rows] = -np.inf


def _closest(x: np.ndarray) -> float:
    return float((x @ x.T - 3 * np.eye(len(x))).max())
