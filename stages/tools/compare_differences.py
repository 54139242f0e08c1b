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
from stages.tools.compare_pairs import Estimates, paired, settings_of
from stages.tools.compare_sheets import named
from stages.tools.revisions import Revision

Place = tuple[str, str, str, str]  # of a difference: the other revision, variant, protocol, metric
EQUAL, UNPAIRED = "equal", "not paired"


@dataclass(frozen=True)
class Comparison:
    """Later revisions against the first, on the same pairs, and a line for each obstacle to that."""

    revisions: Sequence[Revision]
    settings: Evaluate
    estimates: dict[str, Estimates]  # by the name of the other revision
    obstacles: list[str]

    @property
    def names(self) -> list[str]:
        """Return the names of the revisions."""
        return [revision.name for revision in self.revisions]

    @cached_property
    def variants(self) -> list[str]:
        """Return the variants of all revisions: those of the first, then what others have beside them."""
        return list(dict.fromkeys(name for revision in self.revisions for name in revision.variants))

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

    @cached_property
    def leading(self) -> list[str]:
        """Return the protocols with which the page opens: the mean of the wild ones, then those that are not wild."""
        wild = {name for revision in self.revisions for name in frame.names(revision.results, WILD)}
        found = {name: None for revision in self.revisions for name in frame.level(revision.results, "protocol")}
        return sorted((name for name in found if name not in wild), key=lambda name: name != WILD)

    @cached_property
    def contrasts(self) -> dict[Place, Contrast]:
        """Return all differences, corrected for their number: those that lead among themselves, and so the others."""
        contrasts = {}
        for leads in (True, False):
            family = [place for place in self.differences if self._leads(place) == leads]
            p = verdicts.holm([self.differences[place].p for place in family])
            contrasts |= {
                place: self._contrast(place, float(x), len(family)) for place, x in zip(family, p, strict=True)
            }
        return contrasts

    def _leads(self, place: Place) -> bool:
        _, _, protocol, metric = place
        return metric == "accuracy" and protocol in self.leading

    def _contrast(self, place: Place, p: float, among: int) -> Contrast:
        other, variant, protocol, _ = place
        name, level = variant if len(self.estimates) == 1 else f"{other}: {variant}", 1 - self.settings.confidence
        return Contrast(name, named(protocol), self.differences[place], 1, level, p, among)

    @cached_property
    def lead(self) -> dict[Place, Contrast]:
        """Return the differences in accuracy with which the page opens, a training set and a protocol after another."""
        places = [
            (other, variant, protocol, "accuracy")
            for protocol in self.leading
            for variant in self.variants
            for other in self.estimates
        ]
        return {place: self.contrasts[place] for place in places if place in self.contrasts}


def reading(contrast: Contrast) -> str:
    """Return in words what a difference says after correction, or that so few seeds leave only an interval."""
    if not contrast.decides:
        return "interval only"
    return {1: "higher", -1: "lower", 0: "not separated"}[contrast.side]


def compare(revisions: Sequence[Revision]) -> Comparison:
    """Set every later revision against the first; raises ValueError for one without reports, and one named twice."""
    check(revisions)
    first, *others = revisions
    settings = settings_of(first)
    estimates, obstacles = {}, []
    for other in others:
        estimates[other.name], lines = paired(first, other, settings)
        obstacles += lines
    return Comparison(revisions, settings, estimates, list(dict.fromkeys(obstacles)))


def check(revisions: Sequence[Revision]) -> None:
    """Raise ValueError for a revision without reports, and one named twice."""
    names: dict[str | None, str] = {}
    for revision in revisions:
        if revision.commit in names:
            problem = f"the same state as {names[revision.commit]}"
            raise InputError(revision.name, problem, allowed="each revision once")
        names[revision.commit] = revision.name
        if not revision.variants:
            allowed = "a revision that holds the reports of a run"
            raise InputError(revision.name, "no reports/evaluate/*.json", allowed=allowed)
