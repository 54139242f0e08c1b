"""Count how often intervals and verdicts hold what they promise, on scores whose truth is planted.

reads    nothing; `planted` says how scores are drawn
writes   reports/timing/statistics.md   the table, with --write

The settings have other numbers than those that the intervals were designed on (reports/log.md). A row is a setting and
a metric, of which the worst of several quantities counts: coverage of the value on one protocol and the mean of two;
false positives of the difference of two equal variants on one protocol, on the mean, and of that mean less the
difference on the twin protocol. Width is that of the intervals over those of somebody who knows the true standard
deviation.
"""

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import stats

from stages.common import artifacts
from stages.metrics import bootstrap, verdicts
from stages.metrics.bootstrap import Estimate
from stages.reporting import markdown
from stages.tools import planted
from stages.tools.planted import PROTOCOLS, Setting

FILE = Path("reports/timing/statistics.md")
CONFIDENCE = 0.95
PROMISED = (0.93, 0.97, 0.06)  # coverage from, to; false positives at most
SETTINGS = (
    Setting("people and pairs"),
    Setting("pairs alone", person=0, image=0, two=0, variant=0, pair=0.8),
    Setting("seeds as much as people", between=0.06),
    Setting("seeds above all", between=0.35),
    Setting("five seeds above all", seeds=5, between=0.35),
    Setting("ten seeds above all", seeds=10, between=0.35),
    Setting("difficult people", person=0.45, two=0.5),
    Setting("difficult images", person=0.2, image=0.6, own=0.5),
    Setting("60 people", people=60, images=13),
    Setting("120 people", people=120, images=8),
    Setting("600 people", people=600, images=4),
    Setting("four people in one fold", few=4),
    Setting("accuracy near 80 %", separation=1.4),
    Setting("accuracy near 98 %", separation=3.8),
    Setting("accuracy near 100 %", separation=5.0),
    Setting("200 replicates", replicates=200),
)
HEADER = (
    "setting", "metric", "value", "coverage, %", "width", "false positives, %", "width of differences",
    "would show", "power, %",
)  # fmt: skip


class Trial(NamedTuple):
    """A quantity as estimated once, (m,) each: value, interval, standard error and its degrees of freedom."""

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    error: np.ndarray
    df: np.ndarray


def trials(setting: Setting, seed: int, number: int) -> dict[str, Trial]:
    """Draw a setting once; returns the values and the differences of its two variants."""
    rng = np.random.default_rng([seed, number, *setting.name.encode()])
    scored = {
        name: [bootstrap.estimate(x.astype(np.float32), pairs, setting.fars, setting.replicates, 0) for x in score]
        for name, pairs, score in planted.draw(setting, rng, number % planted.DESIGNS)
    }
    one, other, twin = (scored[name] for name in PROTOCOLS)
    mean = [bootstrap.mean(both) for both in zip(one, other, strict=True)]
    gap = [bootstrap.minus(x, y) for x, y in zip(mean, twin, strict=True)]
    values = {"value on one": _value(one[0]), "value on the mean": _value(mean[0])}
    return values | {f"difference {i}": _difference(*two) for i, two in enumerate((one, mean, gap))}


def _value(estimate: Estimate) -> Trial:
    spread = bootstrap.spread(estimate.replicates, [estimate.per_seed])
    return Trial(estimate.value, *bootstrap.interval(estimate, CONFIDENCE), *spread)


def _difference(a: Estimate, b: Estimate) -> Trial:
    spread = bootstrap.spread(b.replicates - a.replicates, [a.per_seed, b.per_seed])
    value, half = b.value - a.value, spread.half(CONFIDENCE)
    return Trial(value, value - half, value + half, *spread)


class Kept(NamedTuple):
    """What a quantity's intervals did over all trials, (m,) each."""

    value: np.ndarray
    coverage: np.ndarray
    width: np.ndarray
    smallest: np.ndarray
    power: np.ndarray


def kept(trials: Sequence[Trial], null: bool) -> Kept:
    """Return how often intervals hold the truth, which is zero, or else the mean of all values.

    power: of the differences moved by the smallest one that should show in 80 of 100.
    """
    x = Trial(*map(np.array, zip(*trials, strict=True)))  # (trials, m)
    truth = np.zeros(x.value.shape[1]) if null else x.value.mean(axis=0)
    coverage = ((x.low <= truth) & (truth <= x.high)).mean(axis=0)
    width = (x.high - x.low).mean(axis=0) / (2 * stats.norm.ppf((1 + CONFIDENCE) / 2) * x.value.std(axis=0))
    smallest = np.vectorize(partial(verdicts.smallest, level=1 - CONFIDENCE))(x.error, x.df).mean(axis=0)
    return Kept(truth, coverage, width, smallest, (x.low + smallest > 0).mean(axis=0))


def measured(setting: Setting, seed: int, repetitions: int, pool: ProcessPoolExecutor) -> list[dict[str, float | str]]:
    """Return a row for each metric of a setting."""
    by_name: dict[str, list[Trial]] = defaultdict(list)
    for found in pool.map(partial(trials, setting, seed), range(repetitions), chunksize=10):
        for name, trial in found.items():
            by_name[name].append(trial)
    results = {name: kept(found, name.startswith("difference")) for name, found in by_name.items()}
    values, differences = ([r for n, r in results.items() if n.startswith(kind)] for kind in ("value", "difference"))
    return [_row(setting.name, m, name, values, differences) for m, name in enumerate(bootstrap.names(setting.fars))]


def _row(setting: str, m: int, metric: str, values: list[Kept], differences: list[Kept]) -> dict[str, float | str]:
    worst = max(values, key=lambda r: abs(r.coverage[m] - CONFIDENCE))
    wrong = min(differences, key=lambda r: r.coverage[m])
    numbers = (
        worst.value[m], worst.coverage[m], worst.width[m], 1 - wrong.coverage[m], wrong.width[m], wrong.smallest[m],
        wrong.power[m],
    )  # fmt: skip
    return dict(zip(HEADER, (setting, metric, *map(float, numbers)), strict=True))


def broken(row: Mapping[str, float | str]) -> float:
    """Return by how much a row breaks its promise, in shares of the trials; below zero where it keeps it."""
    low, high, most = PROMISED
    coverage, wrong = float(row["coverage, %"]), float(row["false positives, %"])
    return max(low - coverage, coverage - high, wrong - most)


def page(rows: Sequence[dict[str, float | str]], seed: int, repetitions: int) -> str:
    """Return the table, the worst rows first, and on what it was measured."""
    ordered = sorted(rows, key=broken, reverse=True)
    error = 100 * np.sqrt(CONFIDENCE * (1 - CONFIDENCE) / repetitions)
    many = sum(broken(row) > 0 for row in rows)
    low, high, most = (f"{100 * share:g}" for share in PROMISED)
    command, power = f"statistics --seed {seed} --repetitions {repetitions}", f"{100 * verdicts.POWER:g}"
    return f"""# Intervals and verdicts on planted scores

Written by `python -m stages.tools.timing {command}`.
Two variants are equal, unless moved: `would show` is the difference that {power} of 100 repetitions should find, and
`power` says how many found it. There are three seeds where no number is named. A share has a Monte Carlo error of
{error:.1f} points, and a row shows the worst of two coverages and of three shares of false positives. Promised are a
coverage of {low} to {high} % and at most {most} % of false positives; {many} of {len(rows)} rows are outside, the worst
first. Width: 1 is the interval of somebody who knows the true standard deviation. stages/tools/planted.py says how
scores are drawn, stages/tools/statistics_timing.py what a row compares.

{markdown.table(HEADER, [_cells(row) for row in ordered], 2)}
"""


def _cells(row: dict[str, float | str]) -> list[str]:
    setting, metric, value, coverage, width, wrong, wide, smallest, power = row.values()
    shown = (f"{value:.3f}", f"{100 * float(coverage):.1f}", f"{width:.2f}", f"{100 * float(wrong):.1f}", f"{wide:.2f}")
    return [str(setting), str(metric), *shown, f"{smallest:.4f}", f"{100 * float(power):.0f}"]


def main(seed: int, repetitions: int, write: bool) -> None:
    """Print the table; `write` it as well."""
    rows = []
    with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for setting in SETTINGS:
            rows += measured(setting, seed, repetitions, pool)
    text = page(rows, seed, repetitions)
    print(text)
    if write:
        with artifacts.output_file(FILE) as fresh:
            fresh.write_text(text)
