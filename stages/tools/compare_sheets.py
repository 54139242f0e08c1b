"""The tables of `compare`: parameters, numbers and metrics of revisions, side by side."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from rich import box
from rich import table as rich_table
from rich.markup import escape

from stages.common import artifacts
from stages.reporting import frame
from stages.reporting.page import Block, Text
from stages.reporting.results import WILD
from stages.reporting.tables import Cell, Table
from stages.tools.revisions import Revision

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
            table.rows.append([Cell(v), Cell(named(p)), *cells])
            if p == WILD and metric != "accuracy":
                mean.rows.append([Cell(v), Cell(title(metric)), *cells])
        yield Sheet(title(metric), table, brief=metric == "accuracy")
    mean.rows.sort(key=lambda row: variants.index(row[0].text))
    yield Sheet(f"Other metrics, {WILD_MEAN}", mean)


def named(protocol: str) -> str:
    """Return a protocol's name; the mean of the wild ones has one in words."""
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
