"""LFW's accuracy and validation rate, exactly as insightface and AdaFace compute them.

Source: `calculate_roc` and `calculate_val` of recognition/arcface_torch/eval/verification.py in insightface (7fadd42)
and evaluate_utils.py in AdaFace (c60eaa7), which descend from facenet. Rows of an image and of its mirror image are
added and brought to length one; a pair is accepted when its squared distance is below the threshold; the ten folds are
runs of the list; thresholds lie on a grid from 0 to 4, of step .01 for the accuracy and .001 for the validation rate.
There, every threshold is tried on every pair; here each fold is sorted once, and weights make it a bootstrap.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stages.metrics import people
from stages.metrics.bootstrap import Estimate, Pairs

FOLDS = 10
ACCURACY_GRID, VAL_GRID = np.arange(0, 4, 0.01), np.arange(0, 4, 0.001)
FAR = 1e-3  # of the validation rate
NAMES = ("accuracy", "val_at_far_0.001")
CHUNK = 32  # replicates at a time


@dataclass(frozen=True)
class Fold:
    """The n pairs of a fold by ascending distance, and the weight of its genuine and impostor pairs up to each."""

    dist: np.ndarray  # (n,)
    genuine: np.ndarray  # (r, n + 1), from 0
    impostor: np.ndarray

    def accepted(self, threshold: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the weight of accepted genuine and impostor pairs, (r, t), at thresholds (t,) or (r, t)."""
        below = np.searchsorted(self.dist, threshold)
        if threshold.ndim == 1:
            return self.genuine[:, below], self.impostor[:, below]
        return np.take_along_axis(self.genuine, below, 1), np.take_along_axis(self.impostor, below, 1)

    @property
    def genuine_total(self) -> np.ndarray:
        """Return the weight of all genuine pairs, (r, 1)."""
        return self.genuine[:, -1:]

    @property
    def impostor_total(self) -> np.ndarray:
        """Return the weight of all impostor pairs, (r, 1)."""
        return self.impostor[:, -1:]


def distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the squared distance (p,) of each row of x (p, d) to the same row of y (p, d)."""
    return np.sum(np.square(np.subtract(x, y)), axis=1)


def folds(dist: np.ndarray, same: np.ndarray, weights: np.ndarray) -> list[Fold]:
    """Return ten runs of the pairs (p,), of nearly equal lengths, under weights (r, p)."""
    found = []
    for run in np.array_split(np.arange(len(dist)), FOLDS):
        order = run[np.argsort(dist[run], kind="stable")]
        w = weights[:, order]
        sums = [np.cumsum(np.where(kind, w, 0), axis=1, dtype=np.int64) for kind in (same[order], ~same[order])]
        found.append(Fold(dist[order], *(np.pad(x, ((0, 0), (1, 0))) for x in sums)))
    return found


def accuracies(parts: Sequence[Fold]) -> np.ndarray:
    """Return the accuracy of each fold, (r, folds), at the lowest threshold that is best on all others."""
    right = []
    for fold in parts:
        genuine, impostor = fold.accepted(ACCURACY_GRID)
        right.append(genuine + fold.impostor_total - impostor)  # (r, thresholds)
    total = np.sum(right, axis=0)
    columns = []
    for fold, own in zip(parts, right, strict=True):
        best = (total - own).argmax(axis=1)[:, None]
        pairs = (fold.genuine_total + fold.impostor_total)[:, 0]
        columns.append(_share(np.take_along_axis(own, best, 1)[:, 0], pairs))
    return np.stack(columns, axis=1)


def validation(parts: Sequence[Fold], far: float = FAR) -> tuple[np.ndarray, np.ndarray]:
    """Return the share of accepted genuine and of accepted impostor pairs of each fold, (r, folds) each.

    The threshold is where the line between the false accept rates of the other folds at two neighbours of the grid
    meets `far`; 0 where no threshold reaches it. Where rates repeat, the line begins at the highest threshold of the
    lower rate: so did scipy before 1.9, whose `interp1d` refuses repeated values since, and with them that code.
    """
    accepted = [fold.accepted(VAL_GRID)[1] for fold in parts]
    total, impostors = np.sum(accepted, axis=0), np.sum([fold.impostor_total for fold in parts], axis=0)
    columns = []
    for fold, own in zip(parts, accepted, strict=True):
        rate = _share(total - own, impostors - fold.impostor_total)  # (r, thresholds), never falls
        genuine, impostor = fold.accepted(_crossing(rate, far)[:, None])
        columns.append((_share(genuine, fold.genuine_total)[:, 0], _share(impostor, fold.impostor_total)[:, 0]))
    val, reached = (np.stack(column, axis=1) for column in zip(*columns, strict=True))
    return val, reached


def _crossing(rate: np.ndarray, far: float) -> np.ndarray:
    last = rate.shape[1] - 1
    i = np.maximum((rate <= far).sum(axis=1) - 1, 0)
    j, rows = np.minimum(i + 1, last), np.arange(len(rate))
    low, high = rate[rows, i], rate[rows, j]
    along = _share(far - low, high - low, 0.0)
    threshold = VAL_GRID[i] + along * (VAL_GRID[j] - VAL_GRID[i])
    return np.where(rate.max(axis=1) >= far, threshold, 0.0)


def _share(part: np.ndarray, whole: np.ndarray, empty: float = np.nan) -> np.ndarray:
    """Return part / whole, `empty` where the whole is 0."""
    return np.divide(part, whole, out=np.full(np.broadcast_shapes(part.shape, whole.shape), empty), where=whole != 0)


def weighted(dist: np.ndarray, same: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return accuracy and validation rate of distances (p,) under weights (r, p), means over the folds, (r, 2)."""
    rows = []
    for start in range(0, len(weights), CHUNK):
        parts = folds(dist, same, weights[start : start + CHUNK])
        rows.append(np.stack([np.nanmean(accuracies(parts), axis=1), np.nanmean(validation(parts)[0], axis=1)], 1))
    return np.concatenate(rows)


def estimate(dist: np.ndarray, pairs: Pairs, replicates: int, seed: int) -> Estimate:
    """Return accuracy and validation rate of distances (s, p), with replicates that draw `people`."""
    weights = people.pair_weights(pairs, replicates, seed)
    per_seed = np.concatenate([weighted(row, pairs.same, np.ones((1, len(row)), np.int32)) for row in dist])
    return Estimate(NAMES, per_seed, np.mean([weighted(row, pairs.same, weights) for row in dist], axis=0))
