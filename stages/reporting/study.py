"""The page of a study: verdicts first, then its figure, tables, what was published, what it cost, how it is run."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd

from stages.common.errors import InputError
from stages.reporting import figures, frame, results, tables
from stages.reporting.page import Block, Folded, Heading, Text, Verbatim
from stages.reporting.page import Figures as Pictures
from stages.reporting.results import TWIN, WILD, Contrast, Variant
from stages.reporting.tables import Cell, Table

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

SIDE_IN = 3.1  # of a panel
APART = 20  # where the largest x is more times the least, the axis is logarithmic


@dataclass(frozen=True)
class Arm:
    """A training set of an experiment: what it scored, and the experiment's parameters and reports."""

    name: str
    variant: Variant
    values: Mapping[str, Any]
    pack: Mapping[str, Any]
    audit: Mapping[str, Any]

    @property
    def drawn(self) -> bool:
        """Say whether the generator drew the images, so that the reports are about them."""
        return self.variant.training.source == "audit"


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
PANELS = ("realised", "fidelity", "spread")  # beside the accuracy
RENDERED = "All faces are rendered: nothing here is measured on photographs."


def _accuracy(arm: Arm) -> dict[str, float]:
    return {key: 100 * arm.variant.wild_mean["accuracy"][key] for key in frame.ENDS}


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


def blocks(found: Found, picture: Path, command: str) -> list[Block]:
    """Return the page; picture: what `figure` drew; command: what runs the study."""
    seeds = min(map(len, found.per_seed.values()))
    return [
        Text(found.question, key=True),
        Text(f"{found.size} {seeds} seeds for every training. {RENDERED}"),
        Heading("Answer"),
        *map(Text, verdicts(found.contrasts)),
        Text(f"{100 * found.confidence:g} % intervals, by identity and training seed."),
        Pictures([(picture, "Accuracy on the mean of the wild protocols, and what was measured beside it.")]),
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
        Heading("To run it again"),
        Verbatim(command),
        Folded("Each experiment by itself", [Verbatim("\n".join(found.commands))]),
    ]


def verdicts(contrasts: Sequence[Contrast]) -> list[str]:
    """Return a sentence for each kind of reading, with the differences that have it."""
    by_reading: dict[str, list[str]] = {}
    for c in contrasts:
        d = c.difference
        points = (
            f"{results.digits(100 * d.value, 1)} [{results.digits(100 * d.low, 1)}, {results.digits(100 * d.high, 1)}]"
        )
        by_reading.setdefault(c.reading, []).append(f"{results.minus_sign(c.name)} {points}")
    count = f"{len(contrasts)} differences in points of accuracy on the mean of the wild protocols."
    return [count, *(f"{reading.capitalize()}: {'; '.join(listed)}." for reading, listed in by_reading.items())]


def accuracies(found: Found) -> Table:
    """Return what each arm scored, with its size."""
    columns = ((WILD, "accuracy"), (WILD, "tar_at_far_0.01"), (TWIN[0], "accuracy"), (TWIN[1], "accuracy"))
    titles = ["wild accuracy, %", "TAR at FAR 1 %, %", "LFW, %", "Syn-LFW, %"]
    table = Table(["training set", "people", "images", *titles])
    for arm in found.arms:
        training = arm.variant.training
        people = training.width + training.mixed
        images = training.width * training.depth + training.mixed * training.depth_of_mix
        cells = [tables.number(frame.entry(found.measured, arm.name, *column)) for column in columns]
        table.rows.append([Cell(arm.name), Cell(f"{people:,}"), Cell(f"{images:,}"), *cells])
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
        f"(minutes: {parts}); what DVC's cache held costs nothing and is not in it."
    )


def numbers(arm: Arm) -> dict[str, Any]:
    """Return what was measured of an arm, as plain values."""
    scored = {protocol: metrics["accuracy"] for protocol, metrics in arm.variant.scored.items()}
    return {"accuracy": scored, **({key: m.of(arm) for key, m in MEASURES.items()} if arm.drawn else {})}


def figure(found: Found, file: Path) -> Path:
    """Draw the arms as rows, or over the study's x; returns the file."""
    if found.x is None:
        names = list(found.per_seed)
        column = frame.column(found.measured, names, WILD)
        return figures.accuracy(column, found.per_seed, figures.palette(names), "Mean of the wild protocols", file)
    panels = {"accuracy, %": _accuracy, **{MEASURES[name].title: MEASURES[name].of for name in PANELS}}
    with mpl.rc_context(figures.STYLE):
        drawing, axes = plt.subplots(1, len(panels), figsize=(SIDE_IN * len(panels), SIDE_IN))
        for ax, (title, entry) in zip(axes, panels.items(), strict=True):
            _over(ax, found.x, [arm for arm in found.arms if arm.drawn or entry is _accuracy], entry)
            ax.set_title(title)
        axes[0].legend()
        drawing.savefig(file, dpi=figures.DPI, metadata={"Software": None})
        plt.close(drawing)
    return file


def _over(ax: Axes, x: str, arms: Sequence[Arm], entry: Callable[[Arm], Any]) -> None:
    """Draw a measure of the arms over x, with its interval, a line for each series."""
    series: dict[str, list[tuple[float, ...]]] = {}
    for arm in arms:
        series.setdefault(_series(arm.name), []).append((place(x, arm), *_ends(entry(arm))))
    for (label, points), colour, marker in zip(series.items(), figures.COLOURS, figures.MARKERS, strict=False):
        at, value, low, high = np.array(sorted(points)).T
        ax.errorbar(at, value, [value - low, high - value], fmt=f"{marker}-", ms=4, color=colour, label=label)
        if at.min() > 0 and at.max() > APART * at.min():
            ax.set_xscale("log")
    ax.set_xlabel(MEASURES[x].title if x in MEASURES else x)


def _ends(entry: Any) -> list[float]:
    """Return a measure's value and the ends of its interval, which is the value itself where there is none."""
    return [float(entry[key]) for key in frame.ENDS] if isinstance(entry, Mapping) else [float(entry)] * 3


def _series(name: str) -> str:
    """Return what arms of one series have in common: their name without a number at either end."""
    return name.strip("0123456789").strip("-")


def place(x: str, arm: Arm) -> float:
    """Return where an arm lies on the axis: a measure of it, its `identities`, or a number of params.yaml.

    Raises InputError for a key that holds no number.
    """
    if x == "identities":
        return arm.variant.training.width
    if x in MEASURES:
        return _ends(MEASURES[x].of(arm))[0]
    node: Any = arm.values
    for part in x.split("."):
        node = node.get(part) if isinstance(node, Mapping) else None
    if not isinstance(node, int | float):
        allowed = f"identities, {', '.join(MEASURES)}, or a key of params.yaml that holds a number"
        raise InputError(None, key="x", value=x, allowed=allowed)
    return node
