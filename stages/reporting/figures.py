"""Draw the report's figures. Each is one file that can be read alone, and the same data give the same bytes."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from stages.common import verification
from stages.reporting.results import FAR_GRID, Contrast, digits, minus_sign, title
from stages.reporting.spread import Embedded

DPI = 200  # twice what the page shows, for dense screens
COLOURS = [  # Okabe and Ito (2008) without yellow, too pale on white, then three unlike them
    *("#0072B2", "#56B4E9", "#332288", "#CC79A7", "#009E73", "#E69F00", "#7F7F7F", "#D55E00", "#882255", "#999933"),
]
DASHES: list[Any] = ["-", (0, (4, 1.4)), (0, (1.2, 1.2))]  # of the first ten variants, the next ten, the rest
GENUINE, IMPOSTOR, AGAINST, NEITHER, INK = "#0072B2", "#868F97", "#D55E00", "#66707A", "#1C2126"
TOP = 1.3  # of the axis of a histogram whose highest bar is 1: its label stands above the bars
BAR_PX, JPEG_QUALITY = 34, 82  # height of the line of text above faces; quality of their file
DOMAINS = {"studio": "#0072B2", "identity mixup": "#CC79A7", "wild": "#D55E00"}
MARKERS = "os^DvP*X"
PERCENT = [
    (95.0, 100.0),
    (80.0, 100.0),
    (65.0, 90.0),
    (50.0, 100.0),
    (0.0, 100.0),
]  # ends of axes, the narrowest first; see _range
POINTS = [(-limit, limit) for limit in (3.0, 15.0, 50.0, 100.0)]
COSINES = [(-0.5, 1.0), (-1.0, 1.0)]
DEGREES = [(0.0, 90.0), (0.0, 180.0)]
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


@dataclass(frozen=True)
class Run:
    """Where a packing lies beside the front, (distance to the gallery, separation), and the bound on its separation."""

    name: str
    end: np.ndarray
    bound: float | None


def palette(names: Sequence[str]) -> dict[str, str]:
    """Return one colour per variant, by its place in params.yaml."""
    return {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(names)}


@contextmanager
def _drawing(
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


def _range(least: float, most: float, ranges: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return the first of few `ranges` that holds the data, so that figures of two runs have the same axes."""
    return next(((low, high) for low, high in ranges if low <= least and most <= high), (least, most))


def accuracy(
    measured: pd.DataFrame, per_seed: Mapping[str, np.ndarray], colours: Mapping[str, str], name: str, file: Path
) -> Path:
    """Draw each variant's accuracy: a dot with its interval, and a tick for each seed.

    measured: value, low and high by variant. per_seed: (s,) by variant.
    """
    percent = 100 * measured[["value", "low", "high"]]
    with _drawing(file, 5.2, 1.1 + 0.3 * len(percent)) as (ax,):
        for row, (variant, value, low, high) in enumerate(percent.itertuples()):
            _interval(ax, row, value, (low, high), colours[variant])
            ax.plot(100 * per_seed[variant], [row] * len(per_seed[variant]), "|", c=INK, ms=5, alpha=0.45)
            ax.annotate(f"{value:.1f}", (value, row), (0, 6), textcoords="offset points", ha="center", fontsize=8)
        _rows(ax, list(percent.index))
        ax.set_xlim(_range(*ax.dataLim.intervalx, PERCENT))
        ax.set_xlabel("accuracy, %")
        ax.set_title(name)
    return file


def phenomena(contrasts: Sequence[Contrast], file: Path, width: float = 9.4) -> Path:
    """Draw the paired differences with their intervals beside zero; `width` in inches."""
    with _drawing(file, width, 1.0 + 0.3 * len(contrasts)) as (ax,):
        ax.axvline(0, color=INK, linewidth=1)
        for row, c in enumerate(contrasts):
            colour = {1: GENUINE, -1: AGAINST, 0: NEITHER}[c.side * c.expected]
            ends = (100 * c.difference.low, 100 * c.difference.high)
            _interval(ax, row, 100 * c.difference.value, ends, colour, "full" if c.side else "none")
        _rows(ax, [f"{minus_sign(c.name)},  {title(c.protocol)}" for c in contrasts])
        ax.set_xlim(_range(*ax.dataLim.intervalx, POINTS))
        ax.set_xlabel("difference in points of accuracy")
        ax.set_title("Paired differences")
    return file


def _interval(ax: Axes, row: int, value: float, ends: tuple[float, float], colour: str, fill: Any = "full") -> None:
    ax.plot(ends, [row, row], color=colour, linewidth=2.4, solid_capstyle="round", alpha=0.55)
    ax.plot(value, row, "o", color=colour, markersize=6.5, fillstyle=fill)


def _rows(ax: Axes, labels: Sequence[str]) -> None:
    ax.set_yticks(range(len(labels)), labels)
    ax.set_ylim(len(labels) - 0.5, -0.75)
    ax.grid(axis="y", visible=False)
    ax.tick_params(axis="y", length=0, labelcolor=INK)


def cosines(panels: Sequence[tuple[str, np.ndarray, np.ndarray]], file: Path) -> Path:
    """Draw (name, genuine, impostor) cosines as histograms, one above the other on one axis."""
    low = min(float(x.min()) for _, *pair in panels for x in pair)
    bins = np.linspace(*_range(low, 1, COSINES), 76)
    with _drawing(file, 5.2, 0.6 + 1.35 * len(panels), len(panels), share="x") as axes:
        for ax, (name, genuine, impostor) in zip(axes, panels, strict=True):
            for x, colour, label in ((impostor, IMPOSTOR, "impostor"), (genuine, GENUINE, "genuine")):
                _histogram(ax, x, bins, colour)
                at = min(x.mean(), 1 - 0.19 * (1 - bins[0]))  # so that all of the label lies within the axes
                ax.text(
                    at,
                    1.07,
                    f"{label} {digits(float(x.mean()), 2)}",
                    ha="center",
                    color=colour,
                    fontsize=8,
                    weight="bold",
                )
            ax.set_title(f"{name}, d′ {verification.d_prime(genuine, impostor):.1f}")
            ax.set_xlim(bins[0], 1)
        axes[-1].set_xlabel("cosine")
    return file


def nearest(angles_deg: Mapping[str, np.ndarray], file: Path) -> Path:
    """Draw the angle of every row to its nearest neighbour, one histogram per set of rows, all on one axis."""
    all_deg = np.concatenate(list(angles_deg.values()))
    bins = np.linspace(*_range(all_deg.min(), all_deg.max(), DEGREES), 91)
    with _drawing(file, 5.2, 0.6 + 1.35 * len(angles_deg), len(angles_deg), share="x") as axes:
        for ax, (name, deg) in zip(axes, angles_deg.items(), strict=True):
            _histogram(ax, deg, bins, GENUINE if ax is axes[-1] else IMPOSTOR)
            ax.axvline(float(np.median(deg)), ymax=1 / TOP, color=INK, linewidth=1, linestyle=(0, (3, 2)))
            ax.text(float(np.median(deg)), 1.07, f"median {np.median(deg):.1f}°", ha="center", fontsize=8)
            ax.set_title(f"{name}, least {deg.min():.1f}°")
            ax.set_xlim(bins[0], bins[-1])
        axes[-1].set_xlabel("angle to the nearest neighbour, degrees")
    return file


def course(iterations: np.ndarray, objective: np.ndarray, file: Path) -> Path:
    """Draw J over the iterations (k,), with its start and its least marked."""
    least, low = int(objective.argmin()), float(objective.min())
    with _drawing(file, 5.2, 3.6) as (ax,):
        ax.plot(iterations, objective, "o-", color=GENUINE, markersize=4)
        ax.plot(iterations[least], low, "o", color=AGAINST, markersize=7)
        _note(ax, digits(low, 4), (iterations[least], low), (0, 8), color=AGAINST)
        ax.set_xlim(_range(0, iterations[-1], UPWARDS))
        ax.set_ylim(_range(min(0, low), float(objective.max()), UPWARDS))
        _note(ax, f"start {digits(objective[0], 3)}", (0, objective[0]), (8, 4), ha="left")
        ax.set_xlabel("iterations")
        ax.set_ylabel("J")
        ax.set_title("Course of the packing")
    return file


def front(ends: Mapping[str, np.ndarray], run: Run, separation: str, file: Path) -> Path:
    """Draw (distance to the gallery, separation) for each alpha, joined in order, and where the run lies."""
    with _drawing(file, 5.2, 3.6) as (ax,):
        ax.plot(*np.stack(list(ends.values())).T, "o-", color=GENUINE, markersize=4)
        for i, (alpha, end) in enumerate(ends.items()):
            if alpha != run.name:
                _note(ax, alpha, end, (-7, -13) if i % 2 else (7, 6))  # neighbours on opposite sides of the line
        if run.bound is not None:
            ax.axhline(run.bound, color=NEITHER, linewidth=1, linestyle=DASHES[1])
            bound, right = f"bound {digits(run.bound, 3)}", ax.get_yaxis_transform()
            _note(ax, bound, (1, run.bound), (0, 4), ha="right", color=NEITHER, xycoords=right)
            ax.plot([run.end[0]] * 2, [run.bound, run.end[1]], color=AGAINST, linewidth=1, linestyle=DASHES[2])
        ax.plot(*run.end, "o", color=AGAINST, markersize=7)
        _note(ax, run.name, run.end, (10, 6), color=AGAINST, weight="bold")
        ax.set_xlim(_range(0, ax.dataLim.x1, UPWARDS))
        ax.set_ylim(_range(min(0, ax.dataLim.y0), ax.dataLim.y1, UPWARDS))
        ax.set_xlabel("mean distance to the gallery, 1 − cosine")
        ax.set_ylabel(separation)
        ax.set_title("What alpha trades")
    return file


def _note(ax: Axes, text: str, at: Any, offset: tuple[float, float], *, ha: str = "center", **style: Any) -> None:
    ax.annotate(text, at, offset, textcoords="offset points", ha=ha, fontsize=8, **style)


def _histogram(ax: Axes, x: np.ndarray, bins: np.ndarray, colour: str) -> None:
    height, _ = np.histogram(x, bins)
    ax.stairs(height / height.max(), bins, color=colour, fill=True, alpha=0.3)
    ax.stairs(height / height.max(), bins, color=colour, linewidth=1.2)
    ax.set_ylim(0, TOP)
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)


def capacity(
    curves: Mapping[str, np.ndarray], false_match_rate: float, allowed: float, file: Path, by: str = "judge"
) -> Path:
    """Draw the share of confused probes, (N - 1, 3) value, low, high for N = 2, 3, ..., of each kind of row."""
    with _drawing(file, 5.2, 3.6) as (ax,):
        most = max(len(share) for share in curves.values()) + 1
        n = np.arange(2, most + 1)
        chance = 100 * (1 - (1 - false_match_rate) ** (n - 1))
        ax.plot(n, chance, color=INK, linewidth=1, linestyle=DASHES[2], label="at the false match rate")
        ax.axhline(100 * allowed, color=NEITHER, linewidth=1, linestyle=DASHES[1])
        ax.annotate("allowed", (most, 100 * allowed), (0, 3), textcoords="offset points", ha="right", fontsize=8)
        for (name, share), colour in zip(curves.items(), COLOURS[:1] + COLOURS[3:6], strict=False):
            value, low, high = 100 * share.T
            ax.plot(n[: len(value)], value, color=colour, label=name)
            ax.fill_between(n[: len(value)], low, high, color=colour, alpha=0.15, linewidth=0)
        ax.set_xlim(0, most)
        ax.set_ylim(_range(0, ax.dataLim.y1, UPWARDS))
        ax.set_xlabel("identities enrolled")
        ax.set_ylabel("confused images, %")
        ax.set_title(f"Identity capacity, by the {by}")
        ax.legend(loc="upper left")
    return file


def roc(curves: Mapping[str, np.ndarray], colours: Mapping[str, str], name: str, file: Path) -> Path:
    """Draw one curve per variant, TAR at FAR_GRID, on a logarithmic axis; the highest curve is first in the legend."""
    places = {variant: i for i, variant in enumerate(curves)}
    middle = len(FAR_GRID) // 3  # FAR 0.01
    with _drawing(file, 5.2, 4.0) as (ax,):
        for variant in sorted(curves, key=lambda v: -curves[v][middle]):
            dash = DASHES[places[variant] // len(COLOURS) % len(DASHES)]
            ax.plot(FAR_GRID, curves[variant], color=colours[variant], linestyle=dash, label=variant)
        ax.set_xscale("log")
        ax.set_xlim(FAR_GRID[0], 1)
        ax.set_ylim(0, 1.01)
        ax.set_xlabel("false accept rate")
        ax.set_ylabel("true accept rate")
        ax.set_title(name)
        ax.legend(loc="lower right", labelspacing=0.35, title="in order at 0.01", title_fontsize=8, alignment="left")
    return file


def embedding_map(domains: Mapping[str, Embedded], file: Path) -> Path:
    """Draw one panel per domain on common axes: a point per image, joined to the middle of its person's points."""
    _, reach = _range(0, max(np.abs(images.points).max() for images in domains.values()) + 0.02, REACH)
    with _drawing(file, 10.4, 3.8, 1, len(domains), share="xy") as axes:
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
