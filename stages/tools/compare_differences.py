"""Differences of later revisions from the first, and their verdicts, for `compare`."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from stages.common.errors import InputError
from stages.common.evaluate import Evaluate
from stages.metrics import bootstrap, verdicts
from stages.metrics.bootstrap import Difference
from stages.reporting import frame
from stages.reporting.results import WILD, Contrast
from stages.reporting.tables import Cell, Table
from stages.tools.compare_pairs import Estimates, paired, settings_of
from stages.tools.compare_sheets import NONE, Sheet, cell, named, title
from stages.tools.revisions import Revision

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
        return Contrast(name, named(protocol), self.differences[place], 1, level, p, among)

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
            table.rows.append([Cell(variant), Cell(named(protocol)), *cells])
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
