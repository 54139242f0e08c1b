"""Compare revisions of this repository: `python -m stages.tools.compare REV REV ...`.

A REV is a commit, branch, tag or DVC experiment, or `workspace`. Reports are read from git, scores per pair from the
DVC cache or remote; nothing is checked out. Every later REV is set against the first, on the same pairs.

reads    reports/metrics.json, pack.json, audit.json, evaluate/*.json; data/evaluate/NAME/*.arrow; dvc.lock; params.yaml
writes   reports/compare.html, compare.md, compare.png: parameters that differ, paired differences and their plot, then
         every metric; the terminal shows the same, but of metrics other than accuracy only the wild mean
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from rich import box
from rich import table as rich_table
from rich.console import Console
from rich.markup import escape
from tqdm import tqdm

from stages.common import artifacts, params, stage
from stages.common.errors import InputError
from stages.common.evaluate import Evaluate
from stages.metrics import bootstrap, verdicts
from stages.metrics.bootstrap import Difference, Estimate
from stages.reporting import figures, frame, page
from stages.reporting.page import Block, Figures, Folded, Heading, Text
from stages.reporting.results import WILD, Contrast
from stages.reporting.tables import Cell, Table
from stages.tools.revisions import WORKSPACE, Revision, resolve

PAGE, REPORT, PLOT = (Path(f"reports/compare.{kind}") for kind in ("html", "md", "png"))
PAIR_COLUMNS = ("a", "b", "same", "fold", "identity_a", "identity_b")
HEADING = "Paired differences"
CAPTION = "Dot: the difference; bar: its interval. Blue: higher; orange: lower; hollow: no verdict."
NONE = "-"  # stands for what a revision lacks
WILD_MEAN = "wild mean"
LONGEST = 40  # characters of a parameter's value
NARROW = 44  # characters in a line on a telephone


@dataclass(frozen=True)
class Sheet:
    """A table under a title; only `brief` ones are shown on the terminal."""

    title: str
    table: Table
    brief: bool = True

    def rich(self) -> rich_table.Table:
        """Return the table for the terminal; where 80 columns are too few, an interval stands below its value."""
        between = "\n" if len(self.table.header) > 4 else " "
        table = rich_table.Table(
            title=escape(self.title), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, highlight=False
        )
        for i, name in enumerate(self.table.header):
            table.add_column(escape(name), justify="left" if i < self.table.labels else "right", overflow="fold")
        for above, row in zip([None, *self.table.rows], self.table.rows, strict=False):
            repeats = above is not None and row[0] == above[0]
            table.add_row(*("" if repeats and i == 0 else escape(_text(cell, between)) for i, cell in enumerate(row)))
        return table

    def blocks(self) -> list[Block]:
        """Return the table for the page and for Markdown, with a hint that it scrolls if it is wide."""
        longest = [[max(cell.text, cell.interval, key=len) for cell in row] for row in self.table.rows]
        wide = sum(2 + max(map(len, column)) for column in zip(self.table.header, *longest, strict=True)) > NARROW
        return [*([Text("On a narrow screen the table scrolls sideways.")] if wide else []), self.table]


def _text(cell: Cell, between: str) -> str:
    text = f"**{cell.text}**" if cell.strong else cell.text
    return f"{text}{between}[{cell.interval}]" if cell.interval else text


def parameter_sheet(revisions: Sequence[Revision]) -> Sheet:
    """Return the parameters that are not equal at all revisions."""
    rows = [
        [Cell(key), *(Cell(NONE if value is None else _quoted(value)) for value in values)]
        for key, values in unequal([revision.params for revision in revisions])
    ]
    header = ["parameter", *(revision.name for revision in revisions)]
    return Sheet("Parameters that differ", Table(header, rows, labels=len(header)))


def _quoted(value: Any) -> str:
    return artifacts.brief(str(value).replace("'", ""), LONGEST)


def unequal(values: Sequence[Any], prefix: str = "") -> Iterator[tuple[str, Sequence[Any]]]:
    """Yield (dotted name, the value in each) for what differs; None stands for a key that is missing."""
    if all(isinstance(value, Mapping) for value in values):
        for key in dict.fromkeys(key for value in values for key in value):
            yield from unequal([value.get(key) for value in values], f"{prefix}.{key}" if prefix else str(key))
    elif all(isinstance(value, list) and len(value) == len(values[0]) for value in values):
        for i, items in enumerate(zip(*values, strict=True)):
            yield from unequal(items, f"{prefix}.{i}")
    elif any(value != values[0] for value in values):
        yield prefix, values


def number_sheet(revisions: Sequence[Revision]) -> Sheet:
    """Return the numbers of the reports that are not equal at all revisions."""
    keys = dict.fromkeys(key for revision in revisions for key in revision.numbers)
    rows = [[key, *(f"{r.numbers[key]:g}" if key in r.numbers else NONE for r in revisions)] for key in keys]
    different = [row for row in rows if len(set(row[1:])) > 1 or len(revisions) == 1]
    equal = f", {len(rows) - len(different)} more are equal" if len(different) < len(rows) else ""
    table = Table(["number", *(r.name for r in revisions)], [[Cell(text) for text in row] for row in different])
    return Sheet(f"Numbers of the reports{equal}", table)


def metric_sheets(revisions: Sequence[Revision]) -> Iterator[Sheet]:
    """Yield one sheet per metric with all variants and protocols, and a brief one of the wild mean."""
    results = pd.concat([r.results for r in revisions])
    variants, names = frame.level(results, "variant"), [r.name for r in revisions]
    keys = sorted(results.index.droplevel("metric").unique(), key=lambda key: (variants.index(key[0]), key[1] == WILD))
    mean = Table(["variant", "metric", *names], labels=2)
    for metric in frame.level(results, "metric"):
        table = Table(["variant", "protocol", *names], labels=2)
        for v, p in keys:
            cells = [cell(metric, frame.entry(r.results, v, p, metric)) for r in revisions]
            table.rows.append([Cell(v), Cell(_named(p)), *cells])
            if p == WILD and metric != "accuracy":
                mean.rows.append([Cell(v), Cell(title(metric)), *cells])
        yield Sheet(title(metric), table, brief=metric == "accuracy")
    mean.rows.sort(key=lambda row: variants.index(row[0].text))
    yield Sheet(f"Other metrics, {WILD_MEAN}", mean)


def _named(protocol: str) -> str:
    return WILD_MEAN if protocol == WILD else protocol


def title(metric: str) -> str:
    """Return a metric's name with its unit, as a heading."""
    titles = {"accuracy": "Accuracy, %", "auc": "AUC, %", "d_prime": "d'", "eer": "EER, %", "fdr": "FDR"}
    rates = metric.replace("tar_at_far_", "TAR at FAR ").replace("val_at_far_", "validation rate at FAR ")
    return titles.get(metric) or f"{rates}, %"


def cell(metric: str, entry: Mapping[str, float] | None, sign: str = "", strong: bool = False) -> Cell:
    """Return a value and its interval, in percent but for d' and FDR; a dash for what was not measured."""
    if entry is None:
        return Cell(NONE)
    scale, digits = (1, 2) if metric in frame.UNITS else (100, 1)
    value, low, high = (
        f"{round(scale * entry[key], digits) + 0.0:{sign}.{digits}f}" for key in ("value", "low", "high")
    )
    return Cell(value, f"{low}, {high}", strong)


Estimates = dict[tuple[str, str], tuple[Estimate, Estimate]]  # by (variant, protocol): of the first, of the other
Place = tuple[str, str, str, str]  # of a difference: the other revision, variant, protocol, metric


@dataclass(frozen=True)
class Comparison:
    """Later revisions against the first, on the same pairs, and a line for each obstacle to that."""

    revisions: Sequence[Revision]
    settings: Evaluate
    estimates: dict[str, Estimates]  # by the name of the other revision
    obstacles: list[str]

    @cached_property
    def equal(self) -> list[str]:
        """Return the variants that scored the same at all revisions."""
        return [name for name in self.revisions[0].variants if all(self.same(r, name) for r in self.revisions)]

    def same(self, other: Revision, variant: str) -> bool:
        """Say whether a variant scored in `other` what it scored in the first revision."""
        return other.scored(variant).equals(self.revisions[0].scored(variant))

    @cached_property
    def differences(self) -> dict[Place, Difference]:
        """Return `other` minus the first revision wherever both were measured on the same pairs."""
        found = {
            (other, variant, protocol, metric): bootstrap.paired_difference(a, b, metric, self.settings.confidence)
            for other, estimates in self.estimates.items()
            for (variant, protocol), (a, b) in estimates.items()
            for metric in a.names
        }
        return {place: difference for place, difference in found.items() if np.isfinite(difference.value)}

    def leads(self, place: Place) -> bool:
        """Say whether the page opens with this difference: in accuracy, on the wild protocols by their mean."""
        _, _, protocol, metric = place
        return metric == "accuracy" and protocol not in frame.names(self.revisions[0].results, WILD)

    @cached_property
    def contrasts(self) -> dict[Place, Contrast]:
        """Return all differences, corrected for their number: those that lead among themselves, and so the others."""
        contrasts = {}
        for leads in (True, False):
            family = [place for place in self.differences if self.leads(place) == leads]
            p = verdicts.holm([self.differences[place].p for place in family])
            contrasts |= {
                place: self._contrast(place, float(x), len(family)) for place, x in zip(family, p, strict=True)
            }
        return contrasts

    def _contrast(self, place: Place, p: float, among: int) -> Contrast:
        other, variant, protocol, _ = place
        name, level = variant if len(self.estimates) == 1 else f"{other}: {variant}", 1 - self.settings.confidence
        return Contrast(name, _named(protocol), self.differences[place], 1, level, p, among)

    def rows(self, metric: str, brief: bool = False) -> list[tuple[str, str, list[Contrast | None]]]:
        """Return (variant, protocol, a difference per other revision); `brief` shows wild protocols by their mean."""
        keys = dict.fromkeys(key for estimates in self.estimates.values() for key in estimates)
        if brief:
            wild = frame.names(self.revisions[0].results, WILD)
            keys = [(v, p) for v, p in keys if p not in wild]
        rows = [(v, p, [self.contrasts.get((other, v, p, metric)) for other in self.estimates]) for v, p in keys]
        return [row for row in rows if any(row[2])]

    @cached_property
    def lead(self) -> list[Contrast]:
        """Return the differences in accuracy with which the page opens."""
        return [contrast for _, _, row in self.rows("accuracy", brief=True) for contrast in row if contrast]

    def sheet(self, metric: str, brief: bool = False) -> Sheet:
        """Return the paired differences in one metric."""
        first, *others = self.revisions
        names = [other.name for other in others]
        table = Table(["variant", "protocol", *names], labels=2)
        for variant, protocol, contrasts in self.rows(metric, brief):
            cells = [
                _difference(metric, contrast) if contrast else Cell("equal" if self.same(other, variant) else NONE)
                for other, contrast in zip(others, contrasts, strict=True)
            ]
            table.rows.append([Cell(variant), Cell(_named(protocol)), *cells])
        heading = f"{title(metric).replace('%', 'points')}: {', '.join(names)} minus {first.name}, same pairs"
        return Sheet(heading, table, brief=False)


def _difference(metric: str, contrast: Contrast) -> Cell:
    return cell(metric, {key: getattr(contrast.difference, key) for key in frame.ENDS}, "+", bool(contrast.side))


def compare(revisions: Sequence[Revision]) -> Comparison:
    """Set every later revision against the first; raises ValueError when there is nothing to compare."""
    check(revisions)
    first, *others = revisions
    settings = settings_of(first)
    estimates, obstacles = {}, []
    for other in others:
        estimates[other.name], lines = paired(first, other, settings)
        obstacles += lines
    return Comparison(revisions, settings, estimates, obstacles)


def check(revisions: Sequence[Revision]) -> None:
    """Raise ValueError for a revision without reports, one named twice, and one without a variant of the first."""
    first = revisions[0]
    names: dict[str | None, str] = {}
    for revision in revisions:
        if revision.commit in names:
            problem = f"the same state as {names[revision.commit]}"
            raise InputError(revision.name, problem, allowed="each revision once")
        names[revision.commit] = revision.name
        if not revision.variants:
            allowed = "a revision that holds the reports of a run"
            raise InputError(revision.name, "no reports/evaluate/*.json", allowed=allowed)
        if not set(revision.variants) & set(first.variants):
            problem = f"variants {', '.join(revision.variants)}"
            allowed = f"at least one of {first.name}: {', '.join(first.variants)}"
            raise InputError(revision.name, problem, allowed=allowed)


def paired(first: Revision, other: Revision, settings: Evaluate) -> tuple[Estimates, list[str]]:
    """Return the estimates of both on equal pairs, and a line for each obstacle."""
    if first.benchmarks is None or first.benchmarks != other.benchmarks:
        line = f"{other.name}: pairs differ from {first.name} (data/benchmarks in dvc.lock); no paired difference"
        return {}, [f"{line}: commit your first run, made on your machine with your benchmarks, and compare with that"]
    return both_estimates(first, other, settings)


def both_estimates(first: Revision, other: Revision, settings: Evaluate) -> tuple[Estimates, list[str]]:
    """Return the estimates of the protocols that both scored, differently, and a line for each obstacle."""
    shared = {v: _shared(first, other, v) for v in first.variants if not first.scored(v).equals(other.scored(v))}
    wild = frame.names(first.results, WILD)
    keys = [(v, p) for v, protocols in shared.items() for p in protocols]
    result, missing, differ = {}, {first.name: [], other.name: []}, []
    for variant, protocol in tqdm(keys, "resample", mininterval=1, delay=5, ncols=80, file=sys.stdout, leave=False):
        tables = [revision.scores(variant, protocol) for revision in (first, other)]
        for revision, table in zip((first, other), tables, strict=True):
            missing[revision.name] += [f"{variant}/{protocol}"] if table is None else []
        a, b = tables
        if a is None or b is None:
            continue
        if any(a.column(name) != b.column(name) for name in PAIR_COLUMNS):
            differ.append(f"{variant}/{protocol}")
            continue
        result[variant, protocol] = estimate(a, settings), estimate(b, settings)
    for variant, protocols in shared.items():
        scored = [p for p in protocols if p in wild]
        if scored and all((variant, p) in result for p in scored):
            pairs = [result[variant, p] for p in scored]
            result[variant, WILD] = bootstrap.mean([a for a, _ in pairs]), bootstrap.mean([b for _, b in pairs])
    lines = [_missing(name, files) for name, files in missing.items() if files]
    lines += [f"{other.name}: pairs differ, no paired difference: {', '.join(differ)}"] if differ else []
    order = list(shared)
    return dict(sorted(result.items(), key=lambda item: order.index(item[0][0]))), lines


def _shared(first: Revision, other: Revision, variant: str) -> list[str]:
    a, b = (frame.level(revision.scored(variant), "protocol") for revision in (first, other))
    return [protocol for protocol in a if protocol in b and protocol != WILD]


def _missing(name: str, files: Sequence[str]) -> str:
    listed = ", ".join(files[:3]) + (f" and {len(files) - 3} more" if len(files) > 3 else "")
    command = (
        "`dvc repro` or `dvc checkout`" if name == WORKSPACE else "`dvc fetch --all-commits`, or `dvc pull` there,"
    )
    return f"{name}: scores are neither in the DVC cache nor in a remote: {listed}; {command} brings them"


def estimate(table: pa.Table, settings: Evaluate) -> Estimate:
    """Return the metrics of a table of scores, drawn as stage `evaluate` draws them."""
    score, pairs = bootstrap.scored_pairs(table)
    return bootstrap.estimate(score, pairs, settings.rates.fars, settings.replicates, settings.seed)


def settings_of(revision: Revision) -> Evaluate:
    """Return the section `evaluate` of params.yaml at a revision; raises ValueError when it is missing or wrong."""
    values = dict(revision.params.get("evaluate") or {})
    if "fars" in values:  # as it was called before there were other rates
        values["rates"] = {"fars": values.pop("fars")}
    return params.check("evaluate", values, Evaluate, Path(f"params.yaml at {revision.name}"))


def opening(comparison: Comparison, plot: Block | None) -> list[Block]:
    """Return the answer: parameters that differ, paired differences in accuracy, their plot, equal variants."""
    if len(comparison.revisions) == 1:
        return []
    parameters, lead = parameter_sheet(comparison.revisions), comparison.sheet("accuracy", brief=True)
    blocks: list[Block] = [Heading(parameters.title)]
    blocks += parameters.blocks() if parameters.table.rows else [Text("None.")]
    blocks += [Heading(HEADING), *map(Text, remarks(comparison))]
    return [*blocks, *lead.blocks(), *([plot] if plot else [])] if lead.table.rows else blocks


def remarks(comparison: Comparison) -> list[str]:
    """Return what a reader needs to know before the paired differences, a line for each point."""
    first, *others = (revision.name for revision in comparison.revisions)
    lines = []
    if comparison.lead:
        points = f"Points of accuracy, {', '.join(others)} minus {first}, on the same pairs."
        level = f"{100 * comparison.settings.confidence:g}"
        told = f"{verdicts_of(comparison)} {would_show(comparison.lead)}".strip()
        lines = [f"{points} {level} % intervals, by identity and training seed. {told}"]
    if comparison.equal and others:
        lines.append(f"Equal at all revisions: {', '.join(comparison.equal)}.")
    return lines + comparison.obstacles


def verdicts_of(comparison: Comparison) -> str:
    """Say what is bold, and whether so many training seeds suffice for a verdict."""
    seeds, enough = [contrast.difference.seeds for contrast in comparison.lead], bootstrap.SEEDS_FOR_A_VERDICT
    first, all_of_them = len(comparison.lead), len(comparison.contrasts)
    family = f"Bold where a difference is clear after correction for their number (Holm): {first} here"
    bold = f"{family}, {all_of_them - first} more below." if max(seeds) >= enough else ""
    few = (
        f"{min(seeds)} training seed{'s' * (min(seeds) > 1)} give no verdict, {enough} do."
        if min(seeds) < enough
        else ""
    )
    return f"{bold} {few}".strip()


def would_show(lead: Sequence[Contrast]) -> str:
    """Say how small a difference these people and seeds would show."""
    points = [100 * contrast.smallest for contrast in lead]
    ends = " to ".join(dict.fromkeys(f"{point:.1f}" for point in (min(points), max(points))))
    return f"Corrected, {100 * verdicts.POWER:g} of 100 repetitions would show a difference of {ends} points."


def main() -> str:
    """Compare the revisions named on the command line."""
    if not sys.argv[1:] or "" in sys.argv:
        raise InputError("stages.tools.compare", "no revisions", allowed="commits, branches, tags, experiments")
    comparison = compare([resolve(name) for name in sys.argv[1:]])
    metrics, revisions = bootstrap.names(comparison.settings.rates.fars), comparison.revisions
    below = [*metric_sheets(revisions), *map(comparison.sheet, metrics), number_sheet(revisions)]
    below = [sheet for sheet in below if sheet.table.rows]
    show(comparison, below)
    write(comparison, below)
    return f"compare {' '.join(r.name for r in revisions)}: {len(below)} tables below -> {PAGE}, {REPORT}"


def show(comparison: Comparison, below: Sequence[Sheet]) -> None:
    """Print the answer and, below it, the brief tables."""
    console = Console(highlight=False)
    parameters, lead = parameter_sheet(comparison.revisions), comparison.sheet("accuracy", brief=True)
    if len(comparison.revisions) > 1:
        console.print(parameters.rich() if parameters.table.rows else f"{parameters.title}: none.")
    if lead.table.rows:
        console.print(lead.rich())
    for line in remarks(comparison):
        console.print(line, markup=False)
    for sheet in below:
        if sheet.brief:
            console.print(sheet.rich())


def write(comparison: Comparison, below: Sequence[Sheet]) -> None:
    """Write the page, the Markdown and the plot, which the page holds and the Markdown links to."""
    first, *others = (revision.name for revision in comparison.revisions)
    heading = f"{', '.join(others)} against {first}" if others else first
    rest = [Heading("Everything else"), *(Folded(sheet.title, sheet.blocks()) for sheet in below)]
    contrasts = comparison.lead
    plot = link = None
    PLOT.unlink(missing_ok=True)
    if contrasts:
        with artifacts.output_file(PLOT) as fresh:
            figures.phenomena(contrasts, fresh, 5.2)
        plot, link = Figures([(PLOT, CAPTION)]), Text(f"![{HEADING}]({PLOT.name})\n\n{CAPTION}")
    texts = {
        PAGE: page.html([*opening(comparison, plot), *rest], heading),
        REPORT: page.markdown([*opening(comparison, link), *rest], heading),
    }
    for file, text in texts.items():
        with artifacts.output_file(file) as fresh:
            fresh.write_text(text)


if __name__ == "__main__":
    stage.run(main)
