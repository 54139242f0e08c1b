"""Draw the report's figures. Each is one file that can be read alone, and the same data give the same bytes."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from stages.reporting.results import Contrast, minus_sign, title
from stages.reporting.scores import FAR_GRID
from stages.reporting.spread import Embedded

DPI = 200  # twice what the page shows, for dense screens
COLOURS = [  # Okabe and Ito (2008) without yellow, too pale on white, then three unlike them
    *("#0072B2", "#56B4E9", "#332288", "#CC79A7", "#009E73", "#E69F00", "#7F7F7F", "#D55E00", "#882255", "#999933"),
]
DASHES: list[Any] = ["-", (0, (4, 1.4)), (0, (1.2, 1.2))]  # of the first eight variants, the next eight, the rest
GENUINE, IMPOSTOR, AGAINST, NEITHER, INK = "#0072B2", "#868F97", "#D55E00", "#66707A", "#1C2126"
READ_AT = 0.01  # the false accept rate at which ROC curves are put in order
BAR_PX, JPEG_QUALITY = 34, 82  # height of the line of text above faces; quality of their file
DOMAINS = {"studio": "#0072B2", "identity mixup": "#CC79A7", "wild": "#D55E00"}
MARKERS = "os^DvP*X"  # with them, series can be told apart without colour
EVERY, APART = 24, 3  # points of a ROC curve from marker to marker, and from a variant's to the next one's
PERCENT = [
    (95.0, 100.0),
    (80.0, 100.0),
    (65.0, 90.0),
    (50.0, 100.0),
    (0.0, 100.0),
]  # ends of axes, the narrowest first; see span
POINTS = [(-limit, limit) for limit in (3.0, 15.0, 50.0, 100.0)]
REACH = [(0.0, 0.35), (0.0, 0.7), (0.0, 1.05)]  # of the map, from its middle
UPWARDS = [(0.0, step * 10.0**power) for power in range(-4, 6) for step in (1, 2, 5)]
STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#8A939B",
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": "#5A636B",
    "ytick.color": "#5A636B",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E7EAED",
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.6,
    "figure.constrained_layout.use": True,
}


def palette(names: Sequence[str]) -> dict[str, str]:
    """Return one colour per variant, by its place in params.yaml."""
    return {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(names)}


@contextmanager
def drawing(
    file: Path, width: float, height: float, rows: int = 1, columns: int = 1, share: str = ""
) -> Iterator[list[Axes]]:
    """Yield the axes of a figure, sized in inches, and write it when the block ends; `share`: "x", "xy" or none."""
    with mpl.rc_context(STYLE):
        figure, axes = plt.subplots(
            rows, columns, figsize=(width, height), squeeze=False, sharex="x" in share, sharey="y" in share
        )
        yield list(axes.ravel())
        figure.savefig(file, dpi=DPI, metadata={"Software": None})
        plt.close(figure)


def span(least: float, most: float, ranges: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return the first of few `ranges` that holds the data, so that figures of two runs have the same axes."""
    return next(((low, high) for low, high in ranges if low <= least and most <= high), (least, most))


def accuracy(
    measured: pd.DataFrame, per_seed: Mapping[str, np.ndarray], colours: Mapping[str, str], name: str, file: Path
) -> Path:
    """Draw each variant's accuracy: a dot with its interval, and a tick for each seed.

    measured: value, low and high by variant. per_seed: (s,) by variant.
    """
    percent = 100 * measured[["value", "low", "high"]]
    with drawing(file, 5.2, 1.1 + 0.3 * len(percent)) as (ax,):
        for row, (variant, value, low, high) in enumerate(percent.itertuples()):
            _interval(ax, row, value, (low, high), colours[variant])
            ax.plot(100 * per_seed[variant], [row] * len(per_seed[variant]), "|", c=INK, ms=5, alpha=0.45)
            ax.annotate(f"{value:.1f}", (value, row), (0, 6), textcoords="offset points", ha="center", fontsize=8)
        _rows(ax, list(percent.index))
        ax.set_xlim(span(*ax.dataLim.intervalx, PERCENT))
        ax.set_xlabel("accuracy, %")
        ax.set_title(name)
    return file


def phenomena(contrasts: Sequence[Contrast], file: Path, width: float = 9.4) -> Path:
    """Draw the paired differences with their intervals beside zero; `width` in inches."""
    with drawing(file, width, 1.0 + 0.3 * len(contrasts)) as (ax,):
        ax.axvline(0, color=INK, linewidth=1)
        for row, c in enumerate(contrasts):
            colour, marker = {1: (GENUINE, "o"), -1: (AGAINST, "D"), 0: (NEITHER, "s")}[c.side * c.expected]
            ends = (100 * c.difference.low, 100 * c.difference.high)
            _interval(ax, row, 100 * c.difference.value, ends, colour, marker, "full" if c.side else "none")
        _rows(ax, [f"{minus_sign(c.name)},  {title(c.protocol)}" for c in contrasts])
        ax.set_xlim(span(*ax.dataLim.intervalx, POINTS))
        ax.set_xlabel("difference in points of accuracy")
        ax.set_title("Paired differences")
    return file


def _interval(
    ax: Axes, row: int, value: float, ends: tuple[float, float], colour: str, marker: str = "o", fill: Any = "full"
) -> None:
    ax.plot(ends, [row, row], color=colour, linewidth=2.4, solid_capstyle="round", alpha=0.55)
    ax.plot(value, row, marker, color=colour, markersize=6.5, fillstyle=fill)


def _rows(ax: Axes, labels: Sequence[str]) -> None:
    ax.set_yticks(range(len(labels)), labels)
    ax.set_ylim(len(labels) - 0.5, -0.75)
    ax.grid(axis="y", visible=False)
    ax.tick_params(axis="y", length=0, labelcolor=INK)


def roc(curves: Mapping[str, np.ndarray], colours: Mapping[str, str], name: str, file: Path) -> Path:
    """Draw one curve per variant, TAR at FAR_GRID, on a logarithmic axis; the highest curve is first in the legend."""
    places = {variant: i for i, variant in enumerate(curves)}
    middle = int(np.abs(FAR_GRID - READ_AT).argmin())
    with drawing(file, 5.2, 4.0) as (ax,):
        for variant in sorted(curves, key=lambda v: -curves[v][middle]):
            place = places[variant]
            marker, dash = MARKERS[place % len(MARKERS)], DASHES[place // len(MARKERS) % len(DASHES)]
            every = (place * APART % EVERY, EVERY)  # curves that lie close show their markers in turn
            style: dict[str, Any] = {"color": colours[variant], "linestyle": dash, "markersize": 4, "markevery": every}
            ax.plot(FAR_GRID, curves[variant], marker, label=variant, **style)
        rates(ax, name)
        ax.legend(
            loc="lower right", labelspacing=0.35, title=f"in order at {READ_AT:g}", title_fontsize=8, alignment="left"
        )
    return file


def rates(ax: Axes, name: str) -> None:
    """Make axes of a ROC curve: the false accept rate logarithmic, from the least that FAR_GRID has."""
    ax.set_xscale("log")
    ax.set_xlim(FAR_GRID[0], 1)
    ax.set_ylim(0, 1.01)
    ax.set_xlabel("false accept rate")
    ax.set_ylabel("true accept rate")
    ax.set_title(name)


def embedding_map(domains: Mapping[str, Embedded], file: Path) -> Path:
    """Draw one panel per domain on common axes: a point per image, joined to the middle of its person's points."""
    _, reach = span(0, max(np.abs(images.points).max() for images in domains.values()) + 0.02, REACH)
    with drawing(file, 10.4, 3.8, 1, len(domains), share="xy") as axes:
        axes[0].set(xlim=(-reach, reach), ylim=(-reach, reach))
        for ax, (name, images) in zip(axes, domains.items(), strict=True):
            for i, person in enumerate(np.unique(images.identity)):
                points = images.points[images.identity == person]
                lines = np.stack([np.broadcast_to(points.mean(axis=0), points.shape), points])  # (2, images, 2)
                ax.plot(lines[..., 0], lines[..., 1], color=DOMAINS[name], linewidth=0.7, alpha=0.4)
                marker = MARKERS[i % len(MARKERS)]
                ax.plot(*points.T, marker, color=DOMAINS[name], ms=5.5, alpha=0.9, mec="white", mew=0.5)
            ax.set_title(f"{name}: distance {images.distance['value']:.2f}")
            ax.set_aspect("equal")
            ax.tick_params(labelbottom=False, labelleft=False, length=0)
    return file


def sheet(strip: np.ndarray, name: str, about: str, file: Path) -> Path:
    """Write rows of faces (h, w, 3) uint8, pixel for pixel, under a line of text, as a JPEG."""
    height, width = strip.shape[:2]
    with mpl.rc_context(STYLE):
        figure = plt.figure(figsize=(width / DPI, (height + BAR_PX) / DPI), dpi=DPI, layout="none")
        figure.figimage(strip, 0, 0)
        middle = 1 - BAR_PX / 2 / (height + BAR_PX)
        first = figure.text(0.001, middle, name, va="center", fontsize=8, weight="bold")
        right = first.get_window_extent().x1 / width
        figure.text(right + 0.015, middle, about, va="center", fontsize=8, color=NEITHER)
        figure.savefig(file, dpi=DPI, pil_kwargs={"quality": JPEG_QUALITY})
        plt.close(figure)
    return file
