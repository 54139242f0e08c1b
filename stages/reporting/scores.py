"""What the scores of every pair say beyond what `evaluate` reports: ROC curves, and how small a difference shows."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from scipy import special, stats

from stages.common import tables, verification
from stages.common.errors import InputError
from stages.common.evaluate import Evaluate
from stages.metrics import bootstrap, separability, verdicts
from stages.metrics.bootstrap import Estimate, Pairs
from stages.reporting import frame
from stages.reporting.results import SCORES, Variant
from stages.settings.report import WILD

FAR_GRID = np.logspace(-3, 0, 121)  # where ROC curves are averaged; 3,000 impostor pairs resolve no less than 1e-3
MOST = 60  # replicates of what takes long: a standard error to 9 %, in a fifth of the time


def read(file: Path) -> tuple[np.ndarray, Pairs]:
    """Return the scores of a protocol's pairs (s, p), one row per training seed, and the pairs."""
    try:
        return bootstrap.scored_pairs(tables.read(file))
    except (KeyError, ValueError) as error:
        raise InputError(file, "missing, truncated or without scores; `dvc repro` makes it") from error


def mean_roc(files: Sequence[Path]) -> np.ndarray:
    """Return the true accept rate at FAR_GRID, the mean over protocols and training seeds, (points,)."""
    return mean_curve([read(file) for file in files])


def mean_curve(scored: Iterable[tuple[np.ndarray, Pairs]]) -> np.ndarray:
    """Return `mean_roc` of scores (s, p) with their pairs, one such two for each protocol."""
    curves = [
        _on_grid(*verification.roc(row[pairs.same], row[~pairs.same])) for score, pairs in scored for row in score
    ]
    return np.mean(curves, axis=0)


def _on_grid(far: np.ndarray, tar: np.ndarray) -> np.ndarray:
    return tar[np.searchsorted(far, FAR_GRID * (1 + 1e-12), "right") - 1]  # the last threshold that keeps to the FAR


Shows = dict[tuple[str, str], float]  # the smallest difference that shows, by protocol and metric


def smallest(variants: Sequence[Variant], cfg: Evaluate) -> Shows:
    """Return the difference that one comparison of two variants would show: the median over all twos of them.

    In accuracy by the replicates that `evaluate` kept; in other metrics, on all but external protocols, by new ones.
    """
    by_protocol = {p: [v.accuracy(p) for v in variants] for p in (*variants[0].protocols, WILD)}
    found = {(p, "accuracy"): _of_twos(each, cfg.confidence)["accuracy"] for p, each in by_protocol.items()}
    for measure in (_verified, _separated):
        measured = [_estimates(v, lambda *scored, by=measure: by(*scored, cfg)) for v in variants]
        for p in measured[0]:
            by_metric = _of_twos([estimates[p] for estimates in measured], cfg.confidence)
            found = {(p, metric): size for metric, size in by_metric.items()} | found
    return {place: size for place, size in found.items() if np.isfinite(size)}


def _verified(score: np.ndarray, pairs: Pairs, cfg: Evaluate) -> Estimate:
    return bootstrap.estimate(score, pairs, cfg.rates.fars, cfg.replicates, cfg.seed)


def _separated(score: np.ndarray, pairs: Pairs, cfg: Evaluate) -> Estimate:
    return separability.estimate(score, pairs, min(cfg.replicates, MOST), cfg.seed)


def _estimates(variant: Variant, measure: Callable[[np.ndarray, Pairs], Estimate]) -> dict[str, Estimate]:
    """Return what is measured on each protocol of pairs, and its mean over the wild ones."""
    names = [name for domain in (WILD, "studio") for name in variant.names(domain)]
    estimates = {name: measure(*read(SCORES / variant.name / f"{name}.arrow")) for name in names}
    return {**estimates, WILD: bootstrap.mean([estimates[name] for name in variant.names(WILD)])}


def _of_twos(estimates: Sequence[Estimate], confidence: float) -> dict[str, float]:
    """Return the smallest difference that shows in each metric, NaN where there are no two, or nothing was measured."""
    sizes = []
    for a, b in combinations(estimates, 2):
        spread = bootstrap.spread(b.replicates - a.replicates, [a.per_seed, b.per_seed])
        each = zip(spread.error, spread.df, strict=True)
        sizes.append([verdicts.smallest(error, df, 1 - confidence) for error, df in each])
    medians = np.median(sizes, axis=0) if sizes else np.full(len(estimates[0].names), np.nan)
    return dict(zip(estimates[0].names, map(float, medians), strict=True))


def at_most(metric: str, entries: Iterable[Mapping[str, Any] | None], confidence: float) -> float | None:
    """Return no less than the difference that two would show, the median over all twos, from their intervals alone.

    As if the two had been tested on different people; on the same ones, less would show. Numbers at an end of their
    scale have no interval and do not count. None where there are no two others.
    """
    halves = [_half(entry, metric not in bootstrap.UNBOUNDED) for entry in entries if entry is not None]
    reach = 1 + stats.norm.ppf(verdicts.POWER) / stats.norm.ppf((1 + confidence) / 2)  # with few seeds less
    sizes = [reach * np.hypot(a, b) for a, b in combinations([half for half in halves if 0 < half < np.inf], 2)]
    return float(np.median(sizes)) if sizes else None


def _half(entry: Mapping[str, Any], share: bool) -> float:
    """Return half the width of an interval as `bootstrap.interval` has it before its log odds and its skewness."""
    value, low, high = (entry[key] for key in frame.ENDS)
    if share and 0 < value < 1 and low < value < high:
        below, above = (abs(special.logit(end) - special.logit(value)) for end in (low, high))
        return bootstrap.unbent(below, above) * value * (1 - value)
    return (high - low) / 2
