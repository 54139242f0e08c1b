"""Spread few rows in few dimensions as far apart as can be found: many restarts at once, then an exact polish.

The maximum over pairs is replaced by log(sum exp(beta cos)) / beta with beta rising from 4: so soft a beginning lets
rows flow past each other into the basin of the optimum, which a squared hinge misses. Even so it misses root systems
and what is left of one when few rows are taken away, which therefore stand among the restarts where they have so many.
"""

import numpy as np
from scipy.optimize import minimize

from stages.common import sphere
from stages.packing import closed

BETA = (4.0, 1000.0)  # of the anneal, first and last
STEPS = 300
STRIDE = 100.0  # times 1 / beta: how far the most crowded row is pushed in a step, in cosine
MOMENTUM = 0.9
SHARP = (1e3, 1e4, 1e5)  # beta of the polish; the last leaves an error of about log(pairs) / beta in cosine
RESTARTS = (4, 32)  # fewest and most
PAIRS = 300_000  # cosines a step over the restarts, which bounds the time
POLISHED = 40_000  # cosines a step over the restarts that are polished, the best one at least, four at most


def solves(m: int, d: int) -> bool:
    """Return whether `optimum` takes m rows in d dimensions: a few seconds at most."""
    return d <= 8 and m <= 256


def optimum(m: int, d: int, seed: int) -> np.ndarray:
    """Return m unit rows (m, d) float32, of all restarts those whose closest pair is farthest apart."""
    rng = np.random.default_rng(seed)
    restarts = int(np.clip(PAIRS // m**2, *RESTARTS))
    found = list(_anneal(rng.standard_normal((restarts, m, d))))
    if m <= closed.ROOTS.get(d, 0):
        found.append(closed.rotated(closed.roots(d)[:m], d, seed).astype(np.float64))
    found = sorted(found, key=_closest)[: np.clip(POLISHED // m**2, 1, 4)]
    return sphere.unit_rows(min([*found, *map(_polish, found)], key=_closest))


def _anneal(y: np.ndarray) -> np.ndarray:
    """Return the rows (restarts, m, d) that y (restarts, m, d) flow to.

    Gradient descent with momentum on the log-sum-exp, in steps of STRIDE / beta.
    """
    y, velocity, rows = _unit(y), np.zeros_like(y), np.arange(y.shape[1])
    for beta in np.geomspace(*BETA, STEPS):
        cos = y @ y.swapaxes(1, 2)
        cos[:, rows, rows] = -np.inf
        weight = np.exp(beta * (cos - cos.max(axis=(1, 2), keepdims=True)))  # (restarts, m, m)
        force = weight @ y / weight.sum(axis=2).max(axis=1)[:, None, None]
        velocity = MOMENTUM * velocity - (1 - MOMENTUM) * STRIDE / beta * force
        velocity -= (velocity * y).sum(axis=2, keepdims=True) * y
        y = _unit(y + velocity)
    return y


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


def _closest(x: np.ndarray) -> float:
    return float((x @ x.T - 3 * np.eye(len(x))).max())
