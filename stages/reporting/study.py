"""The page of a study: verdicts first, then its figure, tables, what was published, what it cost, how it is run."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from stages.common import params
from stages.common.errors import InputError
from stages.reporting import frame, results, tables
from stages.reporting.blocks import Block, Folded, Heading, Text, Verbatim
from stages.reporting.blocks import Figures as Pictures
from stages.reporting.results import TWIN, WILD, Contrast, Variant
from stages.reporting.tables import Cell, Table


@dataclass(frozen=True)
class Arm:
    """A training set of an experiment: what it scored, and the experiment's parameters and reports.

    seconds: wall time by stage, of those that it depends on and that ran.
    """

    name: str
    variant: Variant
    values: Mapping[str, Any]
    pack: Mapping[str, Any]
    audit: Mapping[str, Any]
    seconds: Mapping[str, float]

    @property
    def drawn(self) -> bool:
        """Say whether the generator drew the images, so that the reports are about them."""
        return self.variant.training.source == "audit"

    @property
    def faces(self) -> int:
        """Return how many faces a training sees."""
        return self.variant.training.seen(self.values["train"]["samples"], self.values["train"]["epochs"])

    def minutes(self, *stages: str) -> float | None:
        """Return the wall time of these stages; None where none of them ran."""
        ran = [self.seconds[stage] for stage in stages if stage in self.seconds]
        return sum(ran) / 60 if ran else None


@dataclass(frozen=True)
class Measure:
    """A column of the drawn sets: its title, its entry or number in an arm's reports, and the digits shown."""

    title: str
    of: Callable[[Arm], Any]
    places: int = 3


MEASURES = {
    "nominal": Measure("packed: median angle to the nearest, deg", lambda arm: arm.pack["nearest_deg"]["p50"], 1),
    "realised": Measure(
        "judged: mean cosine to the nearest person", lambda arm: arm.audit["separation"]["judge"]["mean"]
    ),
    "fidelity": Measure("fidelity cos(F(G(x)), x)", lambda arm: arm.audit["fidelity"]["packed"]["recogniser"]["image"]),
    "spread": Measure("judged: mean cosine within a person", lambda arm: arm.audit["spread"]["judge"]),
    "capacity": Measure(
        "people that fit, of those drawn unperturbed", lambda arm: arm.audit["capacity"]["packed"]["identities"], 0
    ),
}
SIZE = "identities"  # an x that is the number of people, and over which figures show the cost
MAKING = ("gallery", "embed", "pack", "generate", "audit", "sets")
COSTS = {"images made": MAKING, "trained": ("train",), "evaluated": ("evaluate",)}  # columns, and their stages
COST = Measure("minutes to make the images and train", lambda arm: arm.minutes(*MAKING, "train"), 1)
ONE_DRAWING = "Each set was packed and drawn once: what another drawing of it would score is not in the intervals."
RENDERED = "All faces are rendered: nothing here is measured on photographs."


@dataclass(frozen=True)
class Found:
    """A study's texts, and what came of it.

    published: what, the figure, its source. seconds: wall time by experiment and stage, of those stages that ran.
    commands: what runs each experiment by itself.
    """

    question: str
    size: str
    x: str | None
    published: Sequence[tuple[str, str, str]]
    differences: Sequence[str]
    arms: Sequence[Arm]
    contrasts: Sequence[Contrast]
    confidence: float
    seconds: Mapping[str, Mapping[str, float]]
    commands: Sequence[str]

    @cached_property
    def measured(self) -> pd.DataFrame:
        """Return the table of results, an arm in the place of a variant."""
        return frame.of({arm.name: arm.variant.scored for arm in self.arms})

    @property
    def per_seed(self) -> dict[str, np.ndarray]:
        """Return the accuracy of each training (s,) by arm, on the mean of the wild protocols."""
        return {arm.name: arm.variant.accuracy(WILD).per_seed[:, 0] for arm in self.arms}


def number_at(values: Mapping[str, Any], x: str, file: Path | None = None) -> float:
    """Return the number that params.yaml holds under the key x; raises InputError, naming `file`, where it does not."""
    number = params.at(values, x)
    if isinstance(number, bool) or not isinstance(number, int | float):
        allowed = f"{SIZE}, {', '.join(MEASURES)}, or a key of params.yaml that holds a number"
        raise InputError(file, key="x", value=x, allowed=allowed)
    return number


def blocks(found: Found, picture: Path, command: str) -> list[Block]:
    """Return the page; picture: what `study_figure` drew; command: what runs the study."""
    seeds = min(map(len, found.per_seed.values()))
    caption = "Accuracy, and what was measured beside it." if found.x else "Dots: means; ticks: seeds."
    return [
        Text(found.question, key=True),
        Text(f"{found.size} {seeds} seeds for every training. {RENDERED}"),
        Heading("Answer"),
        *map(Text, verdicts(found.contrasts)),
        Text(f"{100 * found.confidence:g} % intervals, by identity and training seed. {ONE_DRAWING}"),
        Pictures([(picture, caption)]),
        Heading("Accuracy"),
        accuracies(found),
        Heading("Differences, on the same pairs"),
        tables.phenomena(found.contrasts),
        Heading("The drawn sets"),
        drawn_sets(found.arms),
        Heading("Published"),
        Table(["what", "published", "source"], [[Cell(text) for text in row] for row in found.published], labels=3),
        *map(Text, found.differences),
        Heading("Cost"),
        Text(cost(found.seconds)),
        costs(found.arms),
        Heading("To run it again"),
        Verbatim(command),
        Folded("Each experiment by itself", [Verbatim("\n".join(found.commands))]),
    ]


def verdicts(contrasts: Sequence[Contrast]) -> list[str]:
    """Return a sentence for the primary contrast, and for each kind of reading the others that have it."""
    others = [c for c in contrasts if not c.primary]
    by_reading: dict[str, list[str]] = {}
    for c in others:
        by_reading.setdefault(c.reading, []).append(_said(c))
    unit = "points of accuracy on the mean of the wild protocols"
    return [
        *(f"The question put beforehand, in {unit}: {_said(c)}, {c.reading}." for c in contrasts if c.primary),
        f"{len(others)} other differences, their verdicts corrected for that number (Holm), their intervals not.",
        *(f"{reading.capitalize()}: {'; '.join(listed)}." for reading, listed in by_reading.items()),
    ]


def _said(contrast: Contrast) -> str:
    value, low, high = (results.digits(100 * getattr(contrast.difference, key), 1) for key in frame.ENDS)
    return f"{results.minus_sign(contrast.name)} {value} [{low}, {high}]"


def accuracies(found: Found) -> Table:
    """Return what each arm scored, with its size."""
    columns = ((WILD, "accuracy"), (WILD, "tar_at_far_0.01"), (TWIN[0], "accuracy"), (TWIN[1], "accuracy"))
    titles = ["wild accuracy, %", "TAR at FAR 1 %, %", "LFW, %", "Syn-LFW, %"]
    table = Table(["training set", "people", "images", *titles])
    for arm in found.arms:
        training = arm.variant.training
        people = training.width + training.mixed
        cells = [tables.number(frame.entry(found.measured, arm.name, *column)) for column in columns]
        table.rows.append([Cell(arm.name), Cell(f"{people:,}"), Cell(f"{training.images:,}"), *cells])
    return table


def drawn_sets(arms: Sequence[Arm]) -> Table:
    """Return what `pack` and `audit` measured of the sets that the generator drew; one row where several are equal."""
    rows: list[list[Cell]] = []
    for arm in arms:
        cells = [_shown(measure, arm) for measure in MEASURES.values()]
        if arm.drawn and cells not in [row[1:] for row in rows]:
            rows.append([Cell(arm.name), *cells])
    return Table(["training set", *(measure.title for measure in MEASURES.values())], rows)


def _shown(measure: Measure, arm: Arm) -> Cell:
    entry = measure.of(arm)
    if isinstance(entry, Mapping):
        return tables.number(entry, scale=1, places=measure.places)
    return Cell(results.digits(entry, measure.places))


def cost(seconds: Mapping[str, Mapping[str, float]]) -> str:
    """Return the wall time in words, by stage."""
    by_stage: dict[str, float] = {}
    for stages in seconds.values():
        for address, each in stages.items():
            stage = address.partition("@")[0]
            by_stage[stage] = by_stage.get(stage, 0.0) + each
    most = sorted(by_stage.items(), key=lambda item: -item[1])[:4]
    parts = ", ".join(f"{stage} {each / 60:.1f}" for stage, each in most)
    return (
        f"{sum(by_stage.values()) / 60:.0f} minutes of stages, by their own clocks, one experiment after the other "
        f"(minutes: {parts}); what DVC's cache held costs nothing, which a dash says. "
        "An experiment's images are made once for all its training sets."
    )


def costs(arms: Sequence[Arm]) -> Table:
    """Return the wall minutes of each training set; a dash where DVC's cache held what they would have made."""
    table = Table(["training set", "faces seen per training", *(f"{name}, min" for name in COSTS)])
    for arm in arms:
        spent = [arm.minutes(*stages) for stages in COSTS.values()]
        cells = [Cell("–" if minutes is None else results.digits(minutes, 1)) for minutes in spent]
        table.rows.append([Cell(arm.name), Cell(f"{arm.faces:,}"), *cells])
    return table


def numbers(arm: Arm) -> dict[str, Any]:
    """Return what was measured of an arm, as plain values."""
    scored = {protocol: metrics["accuracy"] for protocol, metrics in arm.variant.scored.items()}
    return {"accuracy": scored, **({key: m.of(arm) for key, m in MEASURES.items()} if arm.drawn else {})}
