"""The tables of `compare`: parameters, numbers and metrics of revisions, side by side."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from rich import box
from rich import table as rich_table
from rich.markup import escape

from stages.common import artifacts
from stages.reporting import frame
from stages.reporting.results import WILD
from stages.reporting.tables import Cell, Table
from stages.tools import profile
from stages.tools.revisions import Revision

NONE = "-"  # stands for what a revision lacks
WILD_MEAN = "wild mean"
PARAMETERS = "Parameters that differ"
COLUMNS = 2  # revisions whose parameters stand side by side
LONGEST = 40  # characters of a parameter's value
RATES = {  # names of metrics before the rate or rank
    "tar_at_far": "TAR at FAR",
    "val_at_far": "validation rate at FAR",
    "tpir_at_fpir": "TPIR at FPIR",
}


@dataclass(frozen=True)
class Sheet:
    """A table under a title."""

    title: str
    table: Table

    def rich(self, columns: int) -> rich_table.Table:
        """Return the table for a terminal of so many columns.

        Where they are too few, the first label has a line of its own; where they still are, intervals stand below.
        """
        if not self.fits(columns) and self.table.labels > 1:
            return Sheet(self.title, grouped(self.table)).rich(columns)
        between = " " if self.fits(columns) else "\n"
        table = rich_table.Table(
            title=escape(self.title), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, highlight=False
        )
        for i, name in enumerate(self.table.header):
            table.add_column(escape(name), justify="left" if i < self.table.labels else "right", overflow="fold")
        for above, row in zip([[], *self.table.rows], self.table.rows, strict=False):
            texts = [escape(_text(cell, between)) for cell in row]
            repeated = [i < self.table.labels and row[: i + 1] == above[: i + 1] for i in range(len(row))]
            table.add_row(*("" if repeats else text for text, repeats in zip(texts, repeated, strict=True)))
        return table

    def fits(self, columns: int) -> bool:
        """Say whether the table is no wider than so many columns of a terminal."""
        texts = [self.table.header, *([_text(cell, " ") for cell in row] for row in self.table.rows)]
        return sum(max(map(len, column)) + 3 for column in zip(*texts, strict=True)) - 1 <= columns


def grouped(table: Table) -> Table:
    """Return a table whose first label stands above the rows that have it, and the second one indented below."""
    rows: list[list[Cell]] = []
    group = None
    for first, second, *rest in table.rows:
        rows += [] if first == group else [[first, *(Cell("") for _ in rest)]]
        rows.append([Cell(f"  {second.text}"), *rest])
        group = first
    return Table([f"{table.header[0]}, {table.header[1]}", *table.header[2:]], rows, table.labels - 1)


def _text(cell: Cell, between: str) -> str:
    return f"{cell.text}{between}[{cell.interval}]" if cell.interval else cell.text


def parameter_sheets(revisions: Sequence[Revision]) -> list[Sheet]:
    """Return the parameters that are not equal at all revisions.

    First those that one would look for, then keys that some revision does not know, as another version had other ones,
    then those of the report alone.
    """
    titles = (PARAMETERS, f"{PARAMETERS}, where not all revisions have them", f"{PARAMETERS}, of the report alone")
    found: dict[str, list[tuple[str, Sequence[Any]]]] = {title: [] for title in titles}
    for key, values in unequal([revision.params for revision in revisions]):
        named = any(key.startswith(f"{path}.") for path in profile.REPLACED)  # users add and leave out such keys
        place = 2 if key.split(".")[0] == "report" else int(None in values and not named)
        found[titles[place]].append((key, values))
    names = [revision.name for revision in revisions]
    return [Sheet(title, _parameters(names, differ)) for title, differ in found.items()]


def _parameters(names: Sequence[str], differ: Sequence[tuple[str, Sequence[Any]]]) -> Table:
    """Return a column for each revision or, for many, a row for each value and the revisions that have it."""
    if len(names) <= COLUMNS:
        header = ["parameter", *names]
        return Table(header, [[Cell(key), *map(Cell, _quoted(values))] for key, values in differ], labels=len(header))
    table = Table(["parameter", "revisions", "value"], labels=2)
    for key, values in differ:
        having: dict[str, list[str]] = {}
        for name, value in zip(names, values, strict=True):
            having.setdefault(repr(value), []).append(name)
        first = [values[names.index(agreeing[0])] for agreeing in having.values()]
        for agreeing, text in zip(having.values(), _quoted(first), strict=True):
            table.rows.append([Cell(key), Cell(", ".join(agreeing)), Cell(text)])
    return table


def _quoted(values: Sequence[Any]) -> list[str]:
    """Return values in short; of long ones what is about the first character that is not the same in all."""
    texts = [NONE if value is None else str(value).replace("'", "") for value in values]
    known = [text for text, value in zip(texts, values, strict=True) if value is not None]
    alike = len(os.path.commonprefix(known)) if max(map(len, known)) > LONGEST and len(known) > 1 else 0
    start = max(alike - LONGEST // 2, 0)
    return [artifacts.brief(f"... {text[start:]}" if start and text != NONE else text, LONGEST) for text in texts]


def unequal(values: Sequence[Any], prefix: str = "") -> Iterator[tuple[str, Sequence[Any]]]:
    """Yield (dotted name, the value in each) for what differs; None stands for a key that is missing."""
    sections = [{} if value is None else value for value in values]
    if all(isinstance(section, Mapping) for section in sections) and any(sections):
        for key in dict.fromkeys(key for section in sections for key in section):
            yield from unequal([section.get(key) for section in sections], f"{prefix}.{key}" if prefix else str(key))
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
    """Yield one sheet per metric with all variants and protocols."""
    results = pd.concat([r.results for r in revisions])
    variants, names = frame.level(results, "variant"), [r.name for r in revisions]
    keys = sorted(results.index.droplevel("metric").unique(), key=lambda key: (variants.index(key[0]), key[1] == WILD))
    for metric in frame.level(results, "metric"):
        table = Table(["variant", "protocol", *names], labels=2)
        for v, p in keys:
            cells = [cell(metric, frame.entry(r.results, v, p, metric)) for r in revisions]
            table.rows.append([Cell(v), Cell(named(p)), *cells])
        yield Sheet(title(metric), table)


def named(protocol: str) -> str:
    """Return a protocol's name; the mean of the wild ones has one in words."""
    return WILD_MEAN if protocol == WILD else protocol


def title(metric: str) -> str:
    """Return a metric's name with its unit, as a heading."""
    titles = {"accuracy": "Accuracy, %", "auc": "AUC, %", "d_prime": "d'", "eer": "EER, %", "fdr": "FDR"}
    kind, _, at = metric.rpartition("_")
    return titles.get(metric) or f"{RATES.get(kind, kind)} {at}, %"


def cell(metric: str, entry: Mapping[str, float] | None, sign: str = "", strong: bool = False) -> Cell:
    """Return a value and its interval, if any, in percent but for d' and FDR; a dash for what was not measured."""
    if entry is None:
        return Cell(NONE)
    scale, digits = (1, 2) if metric in frame.UNITS else (100, 1)
    value, low, high = (
        f"{round(scale * entry[key], digits) + 0.0:{sign}.{digits}f}" for key in ("value", "low", "high")
    )
    return Cell(value, f"{low}, {high}" if entry["low"] < entry["high"] else "", strong)
