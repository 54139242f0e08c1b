"""The figure of a study: its training sets as rows, or what was measured of them over the study's x."""

import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

from stages.reporting import figures, frame
from stages.reporting.results import WILD
from stages.reporting.study import COST, MEASURES, SIZE, Arm, Found, Measure, number_at

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

PANELS = ("realised", "fidelity", "spread")  # measures shown beside the accuracy
SIDE_IN, TITLE = 3.1, 27  # of a panel, and letters in a line of its title
APART = 20  # where the largest value is more times the least, an axis is logarithmic


def figure(found: Found, file: Path) -> Path:
    """Draw the arms as rows, or over the study's x; returns the file."""
    if found.x is None:
        names = list(found.per_seed)
        column = frame.column(found.measured, names, WILD)
        return figures.accuracy(column, found.per_seed, figures.palette(names), "Mean of the wild protocols", file)
    names = list(dict.fromkeys(series(arm.name) for arm in found.arms))  # a colour is of one series in all panels
    panels = {"accuracy, %": _accuracy, **{measure.title: measure.of for measure in _beside(found.x)}}
    with mpl.rc_context(figures.STYLE):
        drawing, axes = plt.subplots(1, len(panels), figsize=(SIDE_IN * len(panels), SIDE_IN))
        for ax, (title, entry) in zip(axes, panels.items(), strict=True):
            everywhere = entry in (_accuracy, COST.of) and found.x not in MEASURES  # of which drawn sets alone have one
            _over(ax, found.x, [arm for arm in found.arms if arm.drawn or everywhere], entry, names)
            ax.set_title(textwrap.fill(title, TITLE))
        marks, labels = axes[0].get_legend_handles_labels()
        if len(labels) > 1:  # below the axes, where it hides no mark
            drawing.legend(marks, labels, loc="outside lower left", ncols=len(labels))
        drawing.savefig(file, dpi=figures.DPI, metadata={"Software": None})
        plt.close(drawing)
    return file


def _beside(x: str) -> list[Measure]:
    """Return what is shown beside the accuracy, but x itself: over sizes, what they cost in place of fidelity."""
    return [COST if x == SIZE and name == "fidelity" else MEASURES[name] for name in PANELS if name != x]


def _over(ax: Axes, x: str, arms: Sequence[Arm], entry: Callable[[Arm], Any], names: Sequence[str]) -> None:
    """Draw a measure of the arms over x, with its interval, a line for each series, in the order of their `names`."""
    found = lines(x, arms, entry)
    for label, points in found.items():
        colour, marker = look(label, names)
        at, value, low, high = np.array(points).T
        ax.errorbar(at, value, [value - low, high - value], fmt=f"{marker}-", ms=4, color=colour, label=label)
        for values, axis, scale in ((at, ax.xaxis, ax.set_xscale), (value, ax.yaxis, ax.set_yscale)):
            if values.min() > 0 and values.max() > APART * values.min():
                scale("log")
                axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
                axis.set_major_formatter(StrMethodFormatter("{x:,g}"))
                axis.set_minor_locator(NullLocator())
    ax.set_xlabel(MEASURES[x].title if x in MEASURES else x)
    if not found:
        ax.text(0.5, 0.5, "not known", ha="center", transform=ax.transAxes)


def look(label: str, names: Sequence[str]) -> tuple[str, str]:
    """Return the colour and the marker of a series, by its place among all of a study's."""
    number = names.index(label) if label in names else 0
    return figures.COLOURS[number % len(figures.COLOURS)], figures.MARKERS[number % len(figures.MARKERS)]


def lines(x: str, arms: Sequence[Arm], entry: Callable[[Arm], Any]) -> dict[str, list[tuple[float, ...]]]:
    """Return x, a measure and the ends of its interval for each arm that has it, by series, in the order of x.

    Where no two arms are of one series, all are.
    """
    found: dict[str, list[tuple[float, ...]]] = {}
    for arm in arms:
        if (measured := entry(arm)) is not None:
            found.setdefault(series(arm.name), []).append((place(x, arm), *_ends(measured)))
    if found and all(len(points) == 1 for points in found.values()):
        found = {"all": [point for points in found.values() for point in points]}
    return {label: sorted(points) for label, points in found.items()}


def _ends(entry: Any) -> list[float]:
    """Return a measure's value and the ends of its interval, which is the value itself where there is none."""
    return [float(entry[key]) for key in frame.ENDS] if isinstance(entry, Mapping) else [float(entry)] * 3


def series(name: str) -> str:
    """Return what arms of one series have in common: their name without a number at either end."""
    return name.strip("0123456789").strip("-")


def place(x: str, arm: Arm) -> float:
    """Return where an arm lies on the axis: a measure of it, its `identities`, or a number of params.yaml."""
    if x == SIZE:
        return arm.variant.training.width
    if x in MEASURES:
        return _ends(MEASURES[x].of(arm))[0]
    return number_at(arm.values, x)


def _accuracy(arm: Arm) -> dict[str, float]:
    return {key: 100 * arm.variant.wild_mean["accuracy"][key] for key in frame.ENDS}
