"""Spread identities over the sphere while holding them near the gallery (HyperFace, arXiv 2411.08470).

The paper's gradient is that of the single closest pair, which moves two of m rows a step. Here a smooth maximum takes
its place, log-sum-exp with an inverse temperature `beta` that rises, so that every crowded row moves from the start;
the exact objective decides which iterate is kept, so the surrogate never decides the result's score.
"""

import sys

import numpy as np
from tqdm import trange

from stages.common import sphere
from stages.packing import closed, lowdim, median_norms
from stages.packing.objective import combine
from stages.packing.start import start
from stages.settings.pack import Pack

BETA = (20.0, 1000.0)  # inverse temperature of the smooth maximum, first and last
ADAM = (0.9, 0.999, 1e-12)  # the usual decays; a small epsilon, for gradients are of order 1 / m


def sample(x_ref: np.ndarray, norms: np.ndarray, cfg: Pack) -> tuple[np.ndarray, np.ndarray]:
    """Return packed unit rows (m, d) at the gallery's median norm, never worse than the start by the exact J.

    Without a gallery term proven optima, or a search over the whole sphere, take the place of a start in the gallery.
    """
    m, d = cfg.identities, x_ref.shape[1]
    if cfg.alpha == 0 and closed.known(m, d):
        x = closed.optimum(m, d, cfg.seed)
    elif cfg.alpha == 0 and cfg.separation == "closest" and lowdim.solves(m, d):
        x = lowdim.optimum(m, d, cfg.seed)
    else:
        x = optimise(start(x_ref, m, cfg.seed), x_ref, cfg)
    return x, median_norms(norms, m)


def optimise(x: np.ndarray, x_ref: np.ndarray, cfg: Pack) -> np.ndarray:
    """Return the best of cfg.iterations + 1 iterates (m, d) by the exact objective, x among them."""
    best, best_value = x, np.inf
    first, second = np.zeros_like(x), np.zeros_like(x)
    for step in trange(cfg.iterations + 1, desc="pack", file=sys.stdout, ncols=80, mininterval=1, delay=5):
        progress = step / cfg.iterations
        beta = BETA[0] * (BETA[1] / BETA[0]) ** progress
        value, gradient = _descend(x, x_ref, cfg, beta)
        if value < best_value:
            best, best_value = x, value
        rate = cfg.learning_rate * (1 + np.cos(np.pi * progress)) / 2
        first = ADAM[0] * first + (1 - ADAM[0]) * gradient
        second = ADAM[1] * second + (1 - ADAM[1]) * gradient**2
        scale = np.sqrt(1 - ADAM[1] ** (step + 1)) / (1 - ADAM[0] ** (step + 1))
        x = sphere.unit_rows(x - rate * scale * first / (np.sqrt(second) + ADAM[2]))
    return best


def _descend(x: np.ndarray, x_ref: np.ndarray, cfg: Pack, beta: float) -> tuple[float, np.ndarray]:
    """Return the exact objective at x (m, d) and the surrogate's gradient there, tangent to the sphere."""
    nearest, gradient = smooth_maximum(x, cfg.separation, beta)
    target, gallery = sphere.nearest(x, x_ref)
    gradient -= cfg.alpha / len(x) * x_ref[target]
    gradient -= (gradient * x).sum(axis=1, keepdims=True) * x
    return combine(nearest, gallery, cfg.alpha, cfg.separation).value, gradient


def smooth_maximum(x: np.ndarray, reading: str, beta: float) -> tuple[np.ndarray, np.ndarray]:
    """Return each row's exact cosine to its nearest other row (m,) and the gradient (m, d) of the smooth separation.

    With l_i = log(sum_j exp(beta cos_ij)) / beta the smooth separation is log(sum_i exp(beta l_i)) / beta for
    `closest` and mean_i l_i for `mean`. With P_ij the softmax of beta cos_ij over j, its gradient is
    q_i sum_j P_ij x_j + sum_j q_j P_ji x_j, where q is the softmax of beta l, or 1 / m.
    """
    nearest, crowding = np.empty(len(x), np.float32), np.empty(len(x), np.float32)
    towards, back = np.empty_like(x), np.zeros_like(x)  # P x, P' x
    for begin in range(0, len(x), sphere.TILE):
        tile = slice(begin, begin + sphere.TILE)
        p = x[tile] @ x.T  # (tile, m)
        p[np.arange(len(p)), begin + np.arange(len(p))] = -np.inf
        nearest[tile] = p.max(axis=1)
        p = np.exp(np.maximum(beta * (p - nearest[tile, None]), -80))  # below, float32 is denormal and slow
        total = p.sum(axis=1, keepdims=True)
        crowding[tile] = nearest[tile] + np.log(total[:, 0]) / beta
        p /= total
        towards[tile] = p @ x
        if reading == "mean":
            back += p.T @ x[tile]
    if reading == "mean":
        return nearest, (towards + back) / len(x)
    q = np.exp(beta * (crowding - crowding.max()))
    return nearest, 2 * (q / q.sum())[:, None] * towards  # q_i P_ij is symmetric: both terms are equal
