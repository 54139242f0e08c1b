"""What each revision scored, what that is more than the first, and the verdict in words: tables of `compare`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pandas as pd

from stages.metrics.grouped import GAP
from stages.reporting import frame, results
from stages.reporting.results import WILD, Contrast
from stages.reporting.tables import Cell, Table
from stages.tools.compare_differences import EQUAL, UNPAIRED, Comparison, reading
from stages.tools.compare_sheets import NONE, Sheet, cell, named, title
from stages.tools.revisions import Revision


class Case(NamedTuple):
    """What is compared: a metric of a variant on a protocol, and what it is called beside the variant."""

    variant: str
    protocol: str
    metric: str
    label: str = ""


@dataclass(frozen=True)
class Standings:
    """A comparison, and the table of results of each revision from which it shows a part."""

    comparison: Comparison
    measured: Sequence[pd.DataFrame]

    def sheet(self, heading: str, cases: Sequence[Case], value: str, label: str = "") -> Sheet:
        """Return a row for each case and revision: the value, the difference from the first, the verdict.

        heading: of the sheet; value: header of the values; label: header of the cases' labels, if they have any.
        """
        first, *others = self.comparison.names
        labels = ["variant", *([label] if label else []), *(["revision"] if others else [])]
        table = Table([*labels, value, *([f"minus {first}", "verdict"] if others else [])], labels=len(labels))
        for case in cases:
            entries = [frame.entry(m, case.variant, case.protocol, case.metric) for m in self.measured]
            if any(entries):
                table.rows.extend(self._rows(case, entries, bool(label)))
        return Sheet(heading, table)

    def _rows(self, case: Case, entries: Sequence[dict[str, Any] | None], labelled: bool) -> list[list[Cell]]:
        names = [Cell(case.variant), *([Cell(case.label)] if labelled else [])]
        values = [cell(case.metric, entry) for entry in entries]
        if len(entries) == 1:
            return [[*names, *values]]
        rows = []
        for revision, entry, value in zip(self.comparison.revisions, entries, values, strict=True):
            if entry is None:
                continue
            contrast = self.comparison.contrasts.get((revision.name, case.variant, case.protocol, case.metric))
            words = reading(contrast) if contrast else self._without(revision, entry, entries[0])
            difference = difference_cell(case.metric, contrast) if contrast else Cell(NONE if words else "")
            rows.append([*names, Cell(revision.name), value, difference, Cell(words)])
        return rows

    def _without(self, revision: Revision, entry: Mapping[str, Any], first: Mapping[str, Any] | None) -> str:
        """Return why there is no difference: nothing for the first revision, and where that has no value."""
        if revision is self.comparison.revisions[0] or first is None:
            return ""
        return EQUAL if entry == first else UNPAIRED


def difference_cell(metric: str, contrast: Contrast) -> Cell:
    """Return a difference and its interval, bold where it is clear."""
    ends = {key: getattr(contrast.difference, key) for key in frame.ENDS}
    return cell(metric, ends, "+", bool(contrast.side))


def accuracies(comparison: Comparison) -> list[Sheet]:
    """Return a sheet for each protocol with which the page opens, without what is equal at all revisions."""
    standings = Standings(comparison, [revision.results for revision in comparison.revisions])
    variants = [v for v in comparison.variants if len(comparison.revisions) == 1 or v not in comparison.equal]
    sheets = [
        standings.sheet(f"Accuracy, {named(p)}", [Case(v, p, "accuracy") for v in variants], "accuracy, %")
        for p in comparison.leading
    ]
    return [sheet for sheet in sheets if sheet.table.rows]


def templates(comparison: Comparison) -> list[Sheet]:
    """Return a sheet for each benchmark of templates."""
    return _parts(comparison, "templates", "metric")


def groups(comparison: Comparison) -> list[Sheet]:
    """Return a sheet for each grouping of pairs."""
    return _parts(comparison, "groups", "group")


def _parts(comparison: Comparison, section: str, label: str) -> list[Sheet]:
    standings = Standings(comparison, [revision.part(section) for revision in comparison.revisions])
    found = pd.concat(standings.measured)
    sheets = []
    for name in frame.level(found, "protocol"):
        metrics = frame.level(found.xs(name, level="protocol", drop_level=False), "metric")
        cases = [Case(v, name, m, _label(m)) for v in comparison.variants for m in metrics]
        sheets.append(standings.sheet(_heading(name), cases, "%", label))
    return sheets


def _heading(name: str) -> str:
    protocol, by, grouping = name.rpartition("-by-")
    return f"{results.title(protocol)} by {grouping}" if by else results.title(name)


def _label(metric: str) -> str:
    if metric == GAP:
        return "best - worst"
    return metric.removeprefix("accuracy_") if metric.startswith("accuracy_") else title(metric).removesuffix(", %")


def differences(comparison: Comparison, metric: str) -> Sheet:
    """Return all paired differences in one metric, with their verdicts in words."""
    first, *others = comparison.names
    table = Table(["variant", "protocol", "revision", f"minus {first}", "verdict"], labels=3)
    for place, contrast in _in_order(comparison, metric):
        other, variant, protocol, _ = place
        texts = [Cell(text) for text in (variant, named(protocol), other)]
        table.rows.append([*texts, difference_cell(metric, contrast), Cell(reading(contrast))])
    heading = f"{title(metric).replace('%', 'points')}: {', '.join(others)} minus {first}, same pairs"
    return Sheet(heading, table)


def _in_order(comparison: Comparison, metric: str) -> list[tuple[tuple[str, str, str, str], Contrast]]:
    """Return the differences in a metric by variant, by protocol, and then by revision."""
    found = {place: contrast for place, contrast in comparison.contrasts.items() if place[3] == metric}
    protocols = sorted(dict.fromkeys(protocol for _, _, protocol, _ in found), key=lambda protocol: protocol == WILD)
    variants, names = comparison.variants, comparison.names
    order = {p: (variants.index(p[1]), protocols.index(p[2]), names.index(p[0])) for p in found}
    return sorted(found.items(), key=lambda item: order[item[0]])
