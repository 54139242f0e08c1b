"""Pack few rows in few dimensions by search: many restarts at once, then a sharp polish.

J's maxima over pairs are replaced by log(sum exp(beta cos)) / beta, with beta rising from 4 or 15. So soft a beginning
lets rows flow past each other into the basin of the optimum, which a squared hinge misses. It still misses root
systems, and root systems without a few of their rows, so these stand among the restarts where they have enough rows. A
gallery pulls every row to the gallery row that is nearest at the moment. Which gallery rows are chosen then decides how
good the end is, so two thirds of the restarts begin at gallery rows: at random ones, or at mutually distant ones.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import minimize

from stages.common import sphere
from stages.common.streams import stream
from stages.packing import closed_forms
from stages.packing.neighbours import nearest_gallery
from stages.packing.objective import objective
from stages.packing.random_start import parted, random_rows
from stages.settings.pack import Pack

BETA, LAST = (4.0, 15.0), 1000.0  # of the anneal: restarts begin at one and the other in turn, and all end at LAST
STEPS = 300
STRIDE = 100.0  # over beta: how far a step pushes the most crowded row, in cosine
MOMENTUM = 0.9
REFRESH = 10  # steps for which a row's gallery row serves
SHARP = (1e2, 1e6)  # beta of the polish, first and last; the error is about log(pairs) / beta in cosine
ROUNDS, ITERATIONS = 5, 130  # of the polish: rounds, and iterations in each
RESTARTS = (6, 32)  # fewest and most
PAIRS = 300_000  # cosines that a step computes over all restarts, at most
POLISHED = 40_000  # the same over the restarts that are polished, which are one to four
SHARPNESS, SWEEPS = 10.0, 20  # of `exchanged`
GALLERY = 4096  # gallery rows that the restarts see; the polish sees all


def solves(m: int, d: int) -> bool:
    """Return whether `optimum` searches for m rows in d dimensions: a few seconds at most."""
    return 2 <= d <= 16 and m <= 256


@dataclass(frozen=True)
class _Problem:
    """J of one gallery x_ref (n, d)."""

    x_ref: np.ndarray
    alpha: float
    reading: str

    def value(self, x: np.ndarray) -> float:
        """Return the exact J of rows x (m, d)."""
        return objective(sphere.unit_rows(x), self.x_ref, self.alpha, self.reading).value

    def targets(self, x: np.ndarray) -> np.ndarray | float:
        """Return alpha / m times the gallery row that is nearest to each row of x (..., m, d): what pulls it."""
        if self.alpha == 0:
            return 0.0
        rows = x.reshape(-1, x.shape[-1]).astype(np.float32)
        return self.alpha / x.shape[-2] * self.x_ref[nearest_gallery(rows, self.x_ref)[0]].reshape(x.shape)

    def separation(self, x: np.ndarray, beta: float | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the smooth separation (...,) of rows x (..., m, d) and the weights (..., m, m) of its gradient w x."""
        cos = x @ x.swapaxes(-2, -1)
        rows = np.arange(x.shape[-2])
        cos[..., rows, rows] = -np.inf
        over = -1 if self.reading == "mean" else (-2, -1)
        top = cos.max(axis=over, keepdims=True)
        weight = np.exp(beta * (cos - top))
        total = weight.sum(axis=over, keepdims=True)
        value = (top + np.log(total) / beta).mean(axis=(-2, -1))
        weight /= total * (len(rows) if self.reading == "mean" else 1)
        return value, weight + weight.swapaxes(-2, -1)


def optimum(x_ref: np.ndarray, cfg: Pack, start: np.ndarray) -> np.ndarray:
    """Return the unit rows (m, d) float32 of least exact J beside the gallery x_ref (n, d) that the search comes to.

    It also compares `start` (m, d), closed forms and, where alpha is above 0, the rows for alpha 0.
    """
    m, d = cfg.identities, x_ref.shape[1]
    if closed_forms.known(m, d):
        apart = closed_forms.optimum(m, d, cfg.seed)
    else:
        apart = _search(_Problem(x_ref, 0.0, cfg.separation), m, cfg.seed, [])
    if cfg.alpha == 0:
        return min(apart, start, key=_Problem(x_ref, 0.0, cfg.separation).value)
    candidates = [start, closed_forms.turned(apart, x_ref, cfg.seed)]
    return _search(_Problem(x_ref, cfg.alpha, cfg.separation), m, cfg.seed, candidates)


def least(x_ref: np.ndarray, cfg: Pack, x: np.ndarray) -> np.ndarray:
    """Return x (m, d) or, where its exact J is lower, a closed form turned towards the gallery, for any m and d.

    The closed form is turned only if its J is lower as it is: in many dimensions that is rare, and turning takes long.
    """
    m, d = x.shape
    if not closed_forms.known(m, d):
        return x
    closed_form = closed_forms.optimum(m, d, cfg.seed)
    best = min(x, closed_form, key=_Problem(x_ref, cfg.alpha, cfg.separation).value)
    return x if best is x else closed_forms.turned(closed_form, x_ref, cfg.seed)


def _search(problem: _Problem, m: int, seed: int, candidates: list[np.ndarray]) -> np.ndarray:
    """Return the best rows (m, d) float32 of the candidates, polished or not, and of restarts from the seed."""
    x_ref, rng = problem.x_ref, stream("packing", seed)
    n, d = x_ref.shape
    thin = replace(problem, x_ref=x_ref[:: -(-n // GALLERY)])
    starts = [_begin(thin, m, kind % 3, rng) for kind in range(np.clip(PAIRS // m**2, *RESTARTS))]
    ends = list(_anneal(thin, np.stack(starts).astype(np.float32)))
    if m <= closed_forms.ROOTS.get(d, 0):
        ends.append(closed_forms.rotated(closed_forms.roots(d)[:m], d, seed))
    best = sorted(ends, key=thin.value)[: np.clip(POLISHED // m**2, 1, 4)] + candidates
    return sphere.unit_rows(min([*best, *(_polish(problem, x) for x in best)], key=problem.value))


def _begin(problem: _Problem, m: int, kind: int, rng: np.random.Generator) -> np.ndarray:
    """Return rows (m, d) anywhere or, beside a gallery, at gallery rows: random (kind 1) or mutually distant (2)."""
    n, d = problem.x_ref.shape
    if problem.alpha == 0 or kind == 0:
        return rng.standard_normal((m, d))
    seed = int(rng.integers(2**31))
    row = random_rows(n, m, seed)
    return parted(problem.x_ref, row if kind == 1 else exchanged(problem.x_ref, row), seed)


def exchanged(x_ref: np.ndarray, row: np.ndarray) -> np.ndarray:
    """Return gallery rows `row` (m,) of x_ref (n, d), each in turn exchanged for the one farthest from the rest.

    The farthest has the least energy, sum exp(SHARPNESS cos). It ends when no exchange lowers that. Each exchange costs
    a product of the gallery with a row.
    """
    row, x = row.copy(), x_ref.astype(np.float32)
    energy = np.exp(SHARPNESS * (x @ x[row].T)).sum(1)

    def energy_by(g: int) -> np.ndarray:
        return np.exp(SHARPNESS * (x @ x[g]))

    for _ in range(SWEEPS):
        before = row.copy()
        for k, g in enumerate(before):
            energy -= energy_by(g)
            row[k] = int(energy.argmin())
            energy += energy_by(row[k])
        if np.array_equal(row, before):
            break
    return row


def _anneal(problem: _Problem, y: np.ndarray) -> np.ndarray:
    """Return the rows (restarts, m, d) that y (restarts, m, d) flow to.

    Gradient descent with momentum on the smooth J, in steps of STRIDE / beta.
    """
    y, velocity, targets = _unit(y), np.zeros_like(y), np.zeros_like(y)
    first = np.resize(np.array(BETA, np.float32), len(y))[:, None, None]
    for step in range(STEPS):
        if step % REFRESH == 0:
            targets = problem.targets(y)
        beta = first * (LAST / first) ** np.float32(step / (STEPS - 1))
        weight = problem.separation(y, beta)[1]  # (restarts, m, m)
        force = weight @ y - targets
        force /= weight.sum(axis=2).max(axis=1)[:, None, None] + problem.alpha / y.shape[1]
        velocity = MOMENTUM * velocity - (1 - MOMENTUM) * STRIDE / beta * force
        velocity -= (velocity * y).sum(axis=2, keepdims=True) * y
        y = _unit(y + velocity)
    return y


def _polish(problem: _Problem, x: np.ndarray) -> np.ndarray:
    """Return the rows (m, d) at the nearest minimum of an ever sharper smooth J, by L-BFGS."""
    x = x.astype(np.float64)

    def smooth(flat: np.ndarray, beta: float, targets: np.ndarray) -> tuple[float, np.ndarray]:
        rows = flat.reshape(x.shape)
        length = np.linalg.norm(rows, axis=1, keepdims=True)
        unit = rows / length
        value, weight = problem.separation(unit, beta)
        gradient = weight @ unit - targets
        gradient -= (gradient * unit).sum(axis=1, keepdims=True) * unit
        return float(value - (targets * unit).sum()), (gradient / length).ravel()

    options = {"maxiter": ITERATIONS, "maxcor": 20, "ftol": 0, "gtol": 1e-9}
    for beta in np.geomspace(*SHARP, ROUNDS):
        minimum = minimize(smooth, x.ravel(), (beta, problem.targets(x)), "L-BFGS-B", jac=True, options=options).x
        x = _unit(minimum.reshape(x.shape))
    return x


def _unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=-1, keepdims=True)
