"""Intervals of verification metrics by resampling identities and training seeds.

Pairs that share a person are not independent, and a network trained with another seed is another network. A replicate
therefore draws the people of a protocol with replacement (person i occurs w_i times) and the seeds with replacement,
and computes every metric again: a genuine pair weighs w_i, an impostor pair w_i * w_j (Owen 2007, "The pigeonhole
bootstrap"; Bolle, Ratha and Pankanti 2004 for subjects in biometrics).

Draws depend on the people of the pairs and on the seed, never on the variant: replicate r draws the same people for
every variant, and for two protocols that show the same people in the same pairs (LFW and Syn-LFW). A difference is
therefore taken replicate by replicate, on the same pairs.
"""

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from stages.common import verification
from stages.common.streams import stream

CHUNK = 32  # replicates at a time; (CHUNK, 6000) int32 is 0.8 MB and stays in the cache
SEEDS_FOR_A_VERDICT = 5


@dataclass(frozen=True)
class Pairs:
    """The pairs of one protocol: columns (p,) same, fold, identity_a, identity_b."""

    same: np.ndarray
    fold: np.ndarray
    identity_a: np.ndarray
    identity_b: np.ndarray


@dataclass(frozen=True)
class Estimate:
    """Metrics of one variant on one protocol or on the mean of several: (s, m) per seed and (r, m) per replicate.

    NaN stands for a metric that cannot be measured, such as a FAR below one impostor pair.
    """

    names: tuple[str, ...]
    per_seed: np.ndarray
    replicates: np.ndarray

    @property
    def value(self) -> np.ndarray:
        """Return the mean over seeds, (m,)."""
        return self.per_seed.mean(axis=0)


@dataclass(frozen=True)
class Difference:
    """What `b` has more than `a` in one metric, with its interval, and what may be concluded from it."""

    value: float
    low: float
    high: float
    verdict: str


def names(fars: Sequence[float]) -> tuple[str, ...]:
    """Return the names of the metrics in the order of the columns."""
    return ("accuracy", *(f"tar_at_far_{far:g}" for far in fars), "auc", "d_prime")


def scored_pairs(table: pa.Table) -> tuple[np.ndarray, Pairs]:
    """Return the scores (s, p), a row per training seed, and the pairs of a table that stage `evaluate` wrote."""
    score = np.stack([table[name].to_numpy() for name in table.schema.names if name.startswith("seed_")])
    same, fold, a, b = (table[name].to_numpy() for name in ("same", "fold", "identity_a", "identity_b"))
    return score, Pairs(same, fold, a, b)


def estimate(score: np.ndarray, pairs: Pairs, fars: Sequence[float], replicates: int, seed: int) -> Estimate:
    """Return all metrics of scores (s, p), one row per training seed, with their replicates."""
    per_seed = np.array([measure(row, pairs.same, pairs.fold, fars) for row in score])
    weights = pair_weights(pairs, replicates, seed)  # (r, p), shared by the seeds and by all variants
    replicated = np.stack([weighted(row, pairs.same, pairs.fold, weights, fars) for row in score])  # (s, r, m)
    mean_over_seeds = np.einsum("rs,srm->rm", seed_shares(len(score), replicates, seed), replicated)
    shares = mean_over_seeds[:, :-1]  # all but d-prime; stretched shares of seeds may take them out of 0 to 1
    np.clip(shares, 0, 1, out=shares)
    mean_over_seeds[:, np.isnan(per_seed).any(axis=0)] = np.nan
    return Estimate(names(fars), per_seed, mean_over_seeds)


def mean(estimates: Sequence[Estimate]) -> Estimate:
    """Return the mean over protocols.

    Protocols hold different people, drawn independently, and the same trained networks, drawn together; so the mean of
    the columns, replicate by replicate, is a replicate of the mean.
    """
    assert estimates and len({e.names for e in estimates}) == 1
    per_seed = np.mean([e.per_seed for e in estimates], axis=0)
    return Estimate(estimates[0].names, per_seed, np.mean([e.replicates for e in estimates], axis=0))


def interval(replicates: np.ndarray, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the percentile interval, (low, high), of each column of replicates (r, ...).

    Replicates without a value (d' of a few pairs that happen to score alike) do not count; NaN where none has one.
    """
    tail = (1 - confidence) / 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of columns without a single value
        low, high = np.nanquantile(replicates, [tail, 1 - tail], axis=0)
    return low, high


def paired_difference(a: Estimate, b: Estimate, metric: str, confidence: float) -> Difference:
    """Return `b` minus `a` in `metric`; both were estimated on the same pairs with the same settings.

    The verdict is "higher", "lower" or "not separated" by whether the interval excludes zero. With fewer than five
    seeds on either side the spread between seeds is too uncertain for a verdict; it then says so.
    """
    assert a.names == b.names and a.replicates.shape == b.replicates.shape
    column = a.names.index(metric)
    low, high = interval(b.replicates[:, column] - a.replicates[:, column], confidence)
    seeds = min(len(a.per_seed), len(b.per_seed))
    verdict = "higher" if low > 0 else "lower" if high < 0 else "not separated"
    if seeds < SEEDS_FOR_A_VERDICT:
        verdict = f"interval only ({seeds} seed{'s' if seeds > 1 else ''})"
    return Difference(float(b.value[column] - a.value[column]), float(low), float(high), verdict)


def pair_weights(pairs: Pairs, replicates: int, seed: int) -> np.ndarray:
    """Return the weight of each pair in each replicate, (r, p) int32.

    In very small sets the drawn people may form no genuine or no impostor pair; they are then drawn again.
    """
    people, index = np.unique(np.concatenate([pairs.identity_a, pairs.identity_b]), return_inverse=True)
    a, b = np.split(index, 2)
    key = hashlib.sha256(np.stack([pairs.identity_a, pairs.identity_b]).astype(np.int32).tobytes()).digest()
    rng = stream("resampled people", seed, *key)
    weights = np.zeros((replicates, len(a)), np.int32)
    empty = np.ones(replicates, bool)
    while empty.any():
        drawn = rng.multinomial(len(people), np.full(len(people), 1 / len(people)), int(empty.sum()))
        w = drawn.astype(np.int32)  # (empty, people)
        weights[empty] = np.where(pairs.same, w[:, a], w[:, a] * w[:, b])
        empty = ~(weights[:, pairs.same].any(axis=1) & weights[:, ~pairs.same].any(axis=1))
    return weights


def seed_shares(seeds: int, replicates: int, seed: int) -> np.ndarray:
    """Return the share of each of `seeds` training seeds in each replicate, (r, s) with rows that sum to one.

    Deviations from 1 / s are stretched by sqrt(s / (s - 1)): the mean of s draws out of s values has only (s - 1) / s
    of the variance it should have, two thirds with three seeds. The shares are the same for all protocols, which judge
    the same networks. One seed says nothing about the spread between seeds, and the interval then leaves it out.
    Percentiles of few seeds are still too narrow: where only seeds vary, the 95 % interval of an accuracy covers about
    80 % with three seeds and 85 % with five; where identities vary, 95 % or more.
    """
    drawn = stream("resampled seeds", seed, seeds).multinomial(seeds, np.full(seeds, 1 / seeds), replicates) / seeds
    return 1 / seeds + (drawn - 1 / seeds) * np.sqrt(seeds / max(seeds - 1, 1))


def measure(score: np.ndarray, same: np.ndarray, fold: np.ndarray, fars: Sequence[float]) -> np.ndarray:
    """Return all metrics of scores (p,) with every pair counted once, (m,)."""
    cos_same, cos_diff = score[same], score[~same]
    tars = [
        verification.tar_at_far(cos_same, cos_diff, far)
        if verification.accepted_impostors(len(cos_diff), far) >= 1
        else np.nan
        for far in fars
    ]
    accuracy, _ = verification.ten_fold_accuracy(score, same, fold)
    return np.array([accuracy, *tars, verification.auc(cos_same, cos_diff), verification.d_prime(cos_same, cos_diff)])


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
