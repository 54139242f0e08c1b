"""Draws of people with replacement, for metrics that are no sum over pairs even to first order.

A replicate draws the people of a protocol with replacement (person i occurs w_i times): a genuine pair weighs w_i, an
impostor pair w_i * w_j (Owen 2007, "The pigeonhole bootstrap"; Bolle, Ratha and Pankanti 2004 for subjects in
biometrics). What differs between impostor pairs alone then counts three times, and a threshold that is looked for anew
is found on fewer distinct pairs: intervals are wider than those of `replicates`, and their centre is biased, which is
why `bootstrap` takes the replicates' variance and not their quantiles.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from stages.common.streams import stream
from stages.metrics.replicates import Pairs, key

CHUNK, HELD = 32, 32 * 6000  # replicates at a time, and weights: as int32 they take 0.8 MB and stay in the cache


def pair_weights(pairs: Pairs, replicates: int, seed: int) -> np.ndarray:
    """Return the weight of each pair in each replicate, (r, p) int32."""
    return np.concatenate(list(chunks(pairs, replicates, seed)))


def chunks(pairs: Pairs, replicates: int, seed: int) -> Iterator[np.ndarray]:
    """Yield the weights of the pairs in some replicates at a time, (chunk, p) int32: of many pairs, in a few.

    In very small sets the drawn people may form no genuine or no impostor pair; they are then drawn again.
    """
    people, index = np.unique(np.concatenate([pairs.identity_a, pairs.identity_b]), return_inverse=True)
    a, b = np.split(index, 2)
    rng = stream("resampled people", seed, *key(pairs))

    def drawn(count: int) -> np.ndarray:
        w = rng.multinomial(len(people), np.full(len(people), 1 / len(people)), count).astype(np.int32)
        return np.where(pairs.same, w[:, a], w[:, a] * w[:, b])

    rows = max(1, min(CHUNK, HELD // len(a)))
    for start in range(0, replicates, rows):
        weights = drawn(min(rows, replicates - start))
        while (empty := ~(weights[:, pairs.same].any(axis=1) & weights[:, ~pairs.same].any(axis=1))).any():
            weights[empty] = drawn(int(empty.sum()))
        yield weights


def seed_shares(seeds: int, replicates: int, seed: int) -> np.ndarray:
    """Return the share of each of `seeds` training seeds in each replicate, (r, s): equal ones.

    `bootstrap` takes the variance between seeds from the values per seed, and replicates hold that over people alone.
    """
    return np.full((replicates, seeds), 1 / seeds)


def weighted(
    score: np.ndarray, same: np.ndarray, fold: np.ndarray, weights: np.ndarray, fars: Sequence[float]
) -> np.ndarray:
    """Return all metrics of scores (p,) under integer weights (r, p) of the pairs, (r, m).

    A weight counts a pair that many times: the result is that of `measure` on the repeated pairs. Scores are sorted
    once; each replicate then needs cumulative sums only.
    """
    order = np.argsort(score, kind="stable")
    score, same, fold = score[order], same[order], fold[order]
    chunks = (weights[start : start + CHUNK, order] for start in range(0, len(weights), CHUNK))
    parts = []
    for w in chunks:  # (chunk, p), ascending in score
        genuine, impostor = w[:, same], w[:, ~same]
        columns = [
            _accuracy(score, same, fold, w),
            *_tars_and_auc(score[same], score[~same], genuine, impostor, fars),
            _d_prime(score[same], score[~same], genuine, impostor),
        ]
        parts.append(np.stack(columns, axis=1))
    return np.concatenate(parts)


def _accuracy(score: np.ndarray, same: np.ndarray, fold: np.ndarray, w: np.ndarray) -> np.ndarray:
    signed = np.where(same, -w, w)  # what rejecting a pair wins against accepting it
    right = (w @ same.astype(np.int32)).astype(np.int64)  # accept all
    for f in np.unique(fold):
        test, train = np.flatnonzero(fold == f), np.flatnonzero(fold != f)
        gain = np.cumsum(signed[:, train], axis=1, dtype=np.int32)
        last = np.flatnonzero(np.append(score[train][1:] > score[train][:-1], True))
        if len(last) < len(train):  # equal scores: a threshold cannot lie between them
            gain, train = gain[:, last], train[last]
        best = gain.argmax(axis=1)
        rejected = np.searchsorted(score[test], score[train], "right")[best]  # test pairs up to the threshold
        rejected[gain[np.arange(len(gain)), best] <= 0] = 0
        right += _up_to(signed[:, test], rejected)
    return right / w.sum(axis=1)


def _tars_and_auc(
    cos_same: np.ndarray, cos_diff: np.ndarray, genuine: np.ndarray, impostor: np.ndarray, fars: Sequence[float]
) -> list[np.ndarray]:
    above = np.cumsum(impostor[:, ::-1], axis=1)  # impostors from the highest score down
    accepted_at = np.searchsorted(cos_same, cos_diff, "right")  # genuine pairs up to each impostor's score
    genuine_total, impostor_total = genuine.sum(axis=1), above[:, -1]
    columns = []
    for far in fars:
        allowed = np.floor(far * impostor_total * (1 + 1e-12))
        threshold = len(cos_diff) - 1 - (above <= allowed[:, None]).sum(axis=1)  # -1: all impostors may be accepted
        rejected = np.where(threshold < 0, 0, accepted_at[threshold])
        columns.append(1 - _up_to(genuine, rejected) / genuine_total)
    below = np.zeros((len(impostor), len(cos_diff) + 1))
    np.cumsum(impostor, axis=1, out=below[:, 1:])
    left, right = np.searchsorted(cos_diff, cos_same, "left"), np.searchsorted(cos_diff, cos_same, "right")
    twice = 2 * below[:, left] if (left == right).all() else below[:, left] + below[:, right]
    columns.append(np.einsum("rg,rg->r", genuine, twice) / (2.0 * genuine_total * impostor_total))
    return columns


def _up_to(values: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Return, for each row of values (r, n), the sum of its first `count` (r,) entries."""
    return np.where(np.arange(values.shape[1]) < count[:, None], values, 0).sum(axis=1)


def _d_prime(cos_same: np.ndarray, cos_diff: np.ndarray, genuine: np.ndarray, impostor: np.ndarray) -> np.ndarray:
    (mean_same, var_same), (mean_diff, var_diff) = _moments(cos_same, genuine), _moments(cos_diff, impostor)
    variance = (var_same + var_diff) / 2
    return np.where(variance > 0, mean_same - mean_diff, np.nan) / np.sqrt(np.where(variance > 0, variance, 1))


def _moments(x: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    shift = x.mean(dtype=np.float64)  # about the mean, or the variance of close scores would cancel
    x = x.astype(np.float64) - shift
    sums = w.astype(np.float64) @ np.stack([np.ones_like(x), x, x**2], axis=1)  # (r, 3)
    mean = sums[:, 1] / sums[:, 0]
    return mean + shift, np.maximum(sums[:, 2] / sums[:, 0] - mean**2, 0)
