"""What scores say beyond what `evaluate` reports: ROC curves, and how small a difference shows."""

from collections.abc import Iterable, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np

from stages.common import tables, verification
from stages.common.errors import InputError
from stages.metrics import bootstrap, verdicts
from stages.metrics.bootstrap import Estimate, Pairs
from stages.reporting.results import Variant
from stages.settings.report import WILD

FAR_GRID = np.logspace(-3, 0, 121)  # where ROC curves are averaged; 3,000 impostor pairs resolve no less than 1e-3


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


Shows = dict[tuple[str, str], float]  # the smallest difference that shows, by benchmark and metric


def smallest(variants: Sequence[Variant], confidence: float) -> Shows:
    """Return the difference that one comparison of two variants would show: the median over all twos of them."""
    found = {}
    for benchmark in (*variants[0].estimates, WILD):
        estimates = [v.estimate(benchmark) for v in variants]
        for metric in estimates[0].names:
            measured = [e.only([metric]) for e in estimates if metric in e.names]
            sizes = [_of_two(a, b, confidence) for a, b in combinations(measured, 2)]
            found[benchmark, metric] = float(np.median(sizes)) if sizes else np.nan
    return {place: size for place, size in found.items() if size > 0}  # not NaN, and something varied


def _of_two(a: Estimate, b: Estimate, confidence: float) -> float:
    difference = bootstrap.paired_difference(a, b, a.names[0], confidence)
    if difference.seeds < bootstrap.SEEDS_FOR_A_VERDICT:
        return np.nan
    return verdicts.smallest(difference.error, difference.df, 1 - confidence)
