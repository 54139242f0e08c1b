"""Figures of several revisions on the same axes: line styles and markers tell them apart where colours do not."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd

from stages.reporting import figures
from stages.reporting.scores import FAR_GRID

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

WIDTH_IN = 5.2
COLOURS = (figures.INK, "#D55E00", "#56B4E9", "#882255", "#009E73", "#E69F00")  # dark beside light: they read in grey
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.6)), (0, (1.2, 1.2)), (0, (6, 1.4, 1.2, 1.4)), (0, (9, 2.4)), (0, (3, 3)))
ROW_IN, GAP = 0.17, 0.9  # inches between the revisions of a variant; rows between variants


class Look(NamedTuple):
    """How a revision is drawn."""

    color: str
    linestyle: Any
    marker: str


def looks(names: Sequence[str]) -> dict[str, Look]:
    """Return one look for each revision, by its place; the seventh looks like the first but for its marker."""
    kinds = len(COLOURS)
    return {
        name: Look(COLOURS[i % kinds], DASHES[i % kinds], figures.MARKERS[i % len(figures.MARKERS)])
        for i, name in enumerate(names)
    }


def accuracy(scored: Mapping[str, pd.DataFrame], look: Mapping[str, Look], name: str, file: Path) -> Path:
    """Draw each variant's accuracy at each revision, with its interval, and the variant's name beside its first.

    scored: value, low and high by variant, the same ones at each revision; NaN where one was not measured.
    """
    variants = next(iter(scored.values())).index
    rows = [(v, r) for v in variants for r, column in scored.items() if not np.isnan(column.at[v, "value"])]
    first = np.array([i == 0 or rows[i - 1][0] != variant for i, (variant, _) in enumerate(rows)])
    at = np.arange(len(rows)) + GAP * np.cumsum(first)
    with _drawing(file, 1.1 + ROW_IN * at[-1]) as ax:
        for y, (variant, revision) in zip(at, rows, strict=True):
            value, low, high = 100 * scored[revision].loc[variant, ["value", "low", "high"]].to_numpy(float)
            colour, dash, marker = look[revision]
            ax.plot([low, high], [y, y], color=colour, linestyle=dash, linewidth=1.8)
            ax.plot(value, y, marker, color=colour, markersize=5)
        ax.set_yticks(at[first], [rows[i][0] for i in np.flatnonzero(first)])
        ax.set_ylim(at[-1] + 1, at[0] - 1)
        ax.grid(axis="y", visible=False)
        ax.tick_params(axis="y", length=0, labelcolor=figures.INK)
        ax.set_xlabel("accuracy, %")
        ax.set_title(name)
        _legend(ax, look, scored)
    return file


def roc(curves: Mapping[str, np.ndarray], look: Mapping[str, Look], name: str, file: Path) -> Path:
    """Draw a variant's curve at each revision, TAR at `FAR_GRID`, on a logarithmic axis."""
    with _drawing(file, 3.6) as ax:
        for revision, curve in curves.items():
            ax.plot(FAR_GRID, curve, color=look[revision].color, linestyle=look[revision].linestyle, label=revision)
        figures.rates(ax, name)
        ax.legend(loc="lower right")
    return file


def training(curves: Mapping[str, pd.Series], look: Mapping[str, Look], name: str, measure: str, file: Path) -> Path:
    """Draw what a training logged over its steps at each revision; `curves`: the mean over seeds, by step."""
    with _drawing(file, 3.0) as ax:
        for revision, curve in curves.items():
            style = look[revision]
            ax.plot(curve.index, curve, color=style.color, linestyle=style.linestyle, label=revision)
        ax.set_xlabel("steps")
        ax.set_ylabel(measure)
        ax.set_title(name)
        ax.legend()
    return file


@contextmanager
def _drawing(file: Path, height_in: float) -> Iterator[Axes]:
    """Yield the axes of a figure, and write it when the block ends."""
    with mpl.rc_context(figures.STYLE):
        drawing, ax = plt.subplots(figsize=(WIDTH_IN, height_in))
        yield ax
        drawing.savefig(file, dpi=figures.DPI, metadata={"Software": None})
        plt.close(drawing)


def _legend(ax: Axes, look: Mapping[str, Look], names: Iterable[str]) -> None:
    """Explain lines and markers below the axes, where no interval lies."""
    lines = [Line2D([], [], **look[name]._asdict(), markersize=5, label=name) for name in names]
    ax.figure.legend(handles=lines, loc="outside lower center", ncols=3)
