"""TAR at FAR of many comparisons of templates: fifteen million of them, in bounded memory.

Only the impostor comparisons with the highest scores decide the threshold of a small FAR: they are weighed, the weight
of all others is counted person by person.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array

from stages.common import verification

BLOCK = 256  # templates whose scores against many others are in memory at a time
WEIGHED = 1 << 22  # weights in memory at a time


@dataclass(frozen=True)
class Comparisons:
    """Pairs (p,) of templates a and b, which show one person where `same`; the person of each template, 0 to P - 1."""

    a: np.ndarray
    b: np.ndarray
    same: np.ndarray
    person: np.ndarray


def scores(x: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the cosine (p,) float32 of unit rows a and b (p,) of x (t, d), by products of blocks of rows."""
    found = np.empty(len(a), np.float32)
    order = np.argsort(a, kind="stable")
    first = np.unique(a[order], return_index=True)[1]
    bounds = [*first[::BLOCK].tolist(), len(a)]
    for start, stop in zip(bounds, bounds[1:], strict=False):
        pairs = order[start:stop]
        rows, row = np.unique(a[pairs], return_inverse=True)
        columns, column = np.unique(b[pairs], return_inverse=True)
        found[pairs] = (x[rows] @ x[columns].T)[row, column]
    return found


def tars(score: np.ndarray, pairs: Comparisons, fars: Sequence[float], weights: np.ndarray) -> np.ndarray:
    """Return the true accept rate at each FAR under weights (r, P) of people, (r, fars).

    As `verification.tar_at_far`: the threshold is an impostor's score, which is rejected with all that equal it, and
    the false accept rate never exceeds the stated one. NaN for a FAR below one impostor comparison, and where a
    replicate has no comparison of a kind.
    """
    genuine = np.flatnonzero(pairs.same)
    genuine = genuine[np.argsort(score[genuine], kind="stable")]
    accepted_at = np.sort(score[genuine])
    own = weights[:, pairs.person[pairs.a[genuine]]]
    rejected_up_to = np.pad(np.cumsum(own, axis=1), ((0, 0), (1, 0)))  # (r, genuine + 1)
    columns = []
    impostors = len(score) - len(genuine)
    for far, threshold in zip(fars, _thresholds(score, pairs, fars, weights), strict=True):
        if verification.accepted_impostors(impostors, far) < 1:
            columns.append(np.full(len(weights), np.nan))
            continue
        rejected = np.take_along_axis(rejected_up_to, np.searchsorted(accepted_at, threshold, "right")[:, None], 1)
        total = rejected_up_to[:, -1]
        tar = np.divide(total - rejected[:, 0], total, out=np.full(len(total), np.nan), where=total > 0)
        columns.append(np.where(np.isnan(threshold), np.nan, tar))
    return np.stack(columns, axis=1)


def _thresholds(score: np.ndarray, pairs: Comparisons, fars: Sequence[float], weights: np.ndarray) -> list[np.ndarray]:
    """Return for each FAR the threshold of each replicate, (r,): minus infinity where all impostors are allowed."""
    impostor = np.flatnonzero(~pairs.same)
    total = _impostor_weight(pairs, impostor, weights)
    allowed = np.floor(np.multiply.outer(fars, total) * (1 + 1e-12))  # (fars, r)
    found = np.full(allowed.shape, np.nan)
    open_ = np.broadcast_to(total > 0, allowed.shape).copy()
    count = min(len(impostor), 1024 + int(4 * max(fars) * len(impostor)))
    while open_.any():
        rows = np.flatnonzero(open_.any(axis=0))
        top = impostor[_highest(score[impostor], count)]  # descending
        for some in np.array_split(rows, max(1, len(rows) * count // WEIGHED)):
            reached = np.cumsum(
                weights[some][:, pairs.person[pairs.a[top]]] * weights[some][:, pairs.person[pairs.b[top]]], axis=1
            )
            for f in range(len(fars)):
                index = (reached <= allowed[f, some, None]).sum(axis=1)
                inside = index < count
                found[f, some[inside]] = score[top[index[inside]]]
                open_[f, some[inside]] = False
        if count == len(impostor):
            found[open_] = -np.inf
            break
        count = min(len(impostor), 4 * count)
    return list(found)


def _highest(score: np.ndarray, count: int) -> np.ndarray:
    """Return where the `count` highest scores lie, in descending order."""
    top = np.argpartition(-score, count - 1)[:count] if count < len(score) else np.arange(len(score))
    return top[np.argsort(-score[top], kind="stable")]


def _impostor_weight(pairs: Comparisons, impostor: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the weight of all impostor comparisons in each replicate, (r,), from their number by person and person."""
    people = weights.shape[1]
    a, b = (pairs.person[side[impostor]] for side in (pairs.a, pairs.b))
    count = coo_array((np.ones(len(a), np.int32), (a, b)), (people, people)).tocsr()
    return ((weights.astype(np.float64) @ count) * weights).sum(axis=1)
