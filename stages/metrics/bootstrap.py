"""Intervals of verification metrics over people and training seeds.

Both vary: pairs share people, and a network trained with another seed is another network. The variance over people is
that of the replicates, whose draws all variants share; `replicates` says how. Nothing is searched for anew in them, so
there is no bias to take out. Seeds are few and independent: their variance is that of the values per seed. The sum of
the two has Student's quantiles, with the degrees of freedom of Satterthwaite (1946).
`python -m stages.tools.timing statistics` shows on planted scores how often these intervals hold what they promise.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from scipy import stats
from scipy.special import expit, logit

from stages.metrics import influence
from stages.metrics.replicates import Pairs, of

SEEDS_FOR_A_VERDICT = 3
ACCELERATION = 1 / 12  # of the skewness: half of BCa's (Efron 1987), which on log odds covers best (reports/log.md)
MOST_BENT = 0.5
UNBOUNDED = ("d_prime", "fdr", "accuracy_gap")  # all other metrics are shares, from 0 to 1


@dataclass(frozen=True)
class Estimate:
    """Metrics of one variant on one protocol or on the mean of several: (s, m) per seed and (r, m) per replicate.

    The mean square of the replicates about their mean is the variance over people, of these seeds' mean less what
    the values per seed show themselves; replicates may be complex. NaN stands for a metric that cannot be measured,
    such as a FAR below one impostor pair.
    """

    names: tuple[str, ...]
    per_seed: np.ndarray
    replicates: np.ndarray

    @property
    def value(self) -> np.ndarray:
        """Return the mean over seeds, (m,)."""
        return self.per_seed.mean(axis=0)

    def only(self, names: Sequence[str]) -> "Estimate":
        """Return some of the metrics."""
        columns = [self.names.index(name) for name in names]
        return Estimate(tuple(names), self.per_seed[:, columns], self.replicates[:, columns])


class Spread(NamedTuple):
    """A standard error and its degrees of freedom, (m,) each."""

    error: np.ndarray
    df: np.ndarray

    def half(self, confidence: float) -> np.ndarray:
        """Return half the width of the interval, (m,)."""
        return self.error * stats.t.ppf((1 + confidence) / 2, self.df)


@dataclass(frozen=True)
class Difference:
    """What `b` has more than `a` in one metric, with its interval.

    error: its standard error, with df degrees of freedom; seeds: of the side that has fewer.
    """

    value: float
    low: float
    high: float
    error: float
    df: float
    seeds: int

    @property
    def p(self) -> float:
        """Return the probability of a difference at least as large, in either direction, where there is none."""
        if self.error == 0:
            return float(self.value == 0)
        return float(2 * stats.t.sf(abs(self.value) / self.error, self.df))


def names(fars: Sequence[float]) -> tuple[str, ...]:
    """Return the names of the metrics in the order of the columns."""
    return ("accuracy", *(f"tar_at_far_{far:g}" for far in fars), "auc", "d_prime", "eer", "fdr")


def scored_pairs(table: pa.Table) -> tuple[np.ndarray, Pairs]:
    """Return the scores (s, p), a row per training seed, and the pairs of a table that stage `evaluate` wrote."""
    score = np.stack([table[name].to_numpy() for name in table.schema.names if name.startswith("seed_")])
    same, fold, a, b = (table[name].to_numpy() for name in ("same", "fold", "identity_a", "identity_b"))
    return score, Pairs(same, fold, a, b)


def estimate(score: np.ndarray, pairs: Pairs, fars: Sequence[float], replicates: int, seed: int) -> Estimate:
    """Return all metrics of scores (s, p), one row per training seed, with their replicates."""
    measured = [_measure(row, pairs, fars) for row in score]
    per_seed = np.array([[metric.value for metric in row] for row in measured])
    influences = np.array([[metric.pairs for metric in row] for row in measured])  # (s, m, p)
    deviations = of(influences, pairs, replicates, seed)
    return Estimate(names(fars), per_seed, per_seed.mean(axis=0) + deviations)


def _measure(score: np.ndarray, pairs: Pairs, fars: Sequence[float]) -> list[influence.Influence]:
    return [
        influence.accuracy(score, pairs.same, pairs.fold),
        *(influence.tar_at_far(score, pairs.same, far) for far in fars),
        influence.auc(score, pairs.same),
        influence.d_prime(score, pairs.same),
        influence.equal_error_rate(score, pairs.same),
        influence.fisher_ratio(score, pairs.same),
    ]


def mean(estimates: Sequence[Estimate]) -> Estimate:
    """Return the mean over protocols, which the same networks were scored on.

    Protocols hold different people, drawn independently; so the mean of the columns, replicate by replicate, is a
    replicate of the mean, and the mean of each seed's values its value.
    """
    assert estimates and len({e.names for e in estimates}) == 1
    per_seed = np.mean([e.per_seed for e in estimates], axis=0)
    return Estimate(estimates[0].names, per_seed, np.mean([e.replicates for e in estimates], axis=0))


def parts(replicates: np.ndarray) -> np.ndarray:
    """Return replicates (r, ...) as real numbers (2, r, ...), to be written: the real part, then the imaginary one."""
    return np.stack([np.real(replicates), np.imag(replicates)])


def whole(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Return the replicates (r, ...) that have these two `parts`."""
    real, imaginary = parts
    return real + 1j * imaginary


def minus(b: Estimate, a: Estimate) -> Estimate:
    """Return b - a of the same networks on two protocols, as an estimate of its own."""
    assert a.names == b.names and a.per_seed.shape == b.per_seed.shape
    return Estimate(a.names, b.per_seed - a.per_seed, b.replicates - a.replicates)


def spread(replicates: np.ndarray, per_seed: Sequence[np.ndarray]) -> Spread:
    """Return the standard error of what has replicates (r, m) and is a sum of some networks' means over seeds (s, m).

    The variance over people is itself uncertain, the more the fewer people it hangs on. One seed says nothing about the
    spread between seeds, which is then left out.
    """
    seeds = [(x.var(axis=0, ddof=1) / len(x), len(x) - 1) for x in per_seed if len(x) > 1]
    with np.errstate(invalid="ignore", divide="ignore"):
        people, freedom = _over_people(replicates)
        total = people + sum(variance for variance, _ in seeds)
        uncertain = people**2 / freedom + sum(variance**2 / df for variance, df in seeds)
        df = np.where(total > 0, total**2 / uncertain, np.inf)
        # seeds may happen to agree: Satterthwaite's interval covers 92.3 % at worst, with this factor 93.8
        agree = sum(2 / free * (variance / total) ** 2 * people / total for variance, free in seeds)
    return Spread(np.sqrt(total) * np.where(total > 0, 1 + agree, 1), df)


def _over_people(replicates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean squares of replicates (r, m), and degrees of freedom: r of normal ones, less if few are large."""
    deviations, count = _deviations(replicates)
    squares = np.square(deviations)
    shares = np.abs(squares) / np.abs(squares).sum(axis=0)
    freedom = 2 / np.maximum(np.square(shares).sum(axis=0) - 1 / (shares > 0).sum(axis=0), 2 / count)
    return np.maximum(np.real(squares).sum(axis=0) / count, 0), np.nan_to_num(freedom, nan=np.inf)


def _skewness(replicates: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Return the skewness (m,) over people of what has replicates (r, m) and a standard error (m,).

    A person moves one replicate only, by sqrt(r), so that the mean cube is sqrt(r) times the third moment. Replicates
    that resample all people hardly have one by this measure, and their intervals stay as they are.
    """
    deviations, count = _deviations(np.real(replicates))
    return (deviations**3).sum(axis=0) / count**1.5 / np.where(error > 0, error, 1) ** 3


def _deviations(replicates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return by how much replicates (r, m) deviate from their mean, and how many there are, (m,), NaN for none.

    Replicates without a value (d-prime of few pairs that happen to score alike) do not count.
    """
    measured = ~np.isnan(replicates)
    count = np.where(measured.any(axis=0), measured.sum(axis=0), np.nan)
    centre = np.where(measured, replicates, 0).sum(axis=0) / count
    return np.where(measured, replicates - centre, 0), count


def interval(estimate: Estimate, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the interval, (low, high), of each metric, (m,); NaN where there is no value.

    That of a share stays between 0 and 1. It is taken on the scale of log odds, where they are finite, and reaches
    further to the side on which few people decide: a sample without those who resemble many has a high TAR and shows
    little variance.
    """
    value, whole = estimate.value, spread(estimate.replicates, [estimate.per_seed])
    half, skew = whole.half(confidence), _skewness(estimate.replicates, whole.error)
    bounded = np.array([name not in UNBOUNDED for name in estimate.names])
    inside = (value > 0) & (value < 1) & bounded
    share = np.where(inside, value, 0.5)
    centre, slope, quantile = logit(share), 1 / (share * (1 - share)), half / np.where(half > 0, whole.error, 1)
    bend = np.clip(ACCELERATION * skew * quantile, -MOST_BENT, MOST_BENT)
    low, high = (
        np.where(inside, expit(centre + slope * side * half / (1 - side * bend) ** 2), value + side * half)
        for side in (-1, 1)
    )
    return np.where(bounded, np.maximum(low, 0), low), np.where(bounded, np.minimum(high, 1), high)


def paired_difference(a: Estimate, b: Estimate, metric: str, confidence: float) -> Difference:
    """Return `b` minus `a` in `metric`; both were estimated on the same pairs with the same settings.

    Their seeds have no partner: each side has a variance of its own.
    """
    assert a.names == b.names and a.replicates.shape == b.replicates.shape
    m = a.names.index(metric)
    error, df = spread((b.replicates - a.replicates)[:, [m]], [x.per_seed[:, [m]] for x in (a, b)])
    value, half = float(b.value[m] - a.value[m]), float(Spread(error, df).half(confidence)[0])
    seeds = min(len(a.per_seed), len(b.per_seed))
    return Difference(value, value - half, value + half, float(error[0]), float(df[0]), seeds)
