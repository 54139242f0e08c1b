"""Draw the figures of the packing: how far rows lie apart, what that trades, how many identities fit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from stages.common import verification
from stages.reporting.figures import (
    AGAINST,
    COLOURS,
    DASHES,
    GENUINE,
    IMPOSTOR,
    INK,
    MARKERS,
    NEITHER,
    UPWARDS,
    drawing,
    span,
)
from stages.reporting.results import digits

TOP = 1.3  # of the axis of a histogram whose highest bar is 1: its label stands above the bars
COSINES = [(-0.5, 1.0), (-1.0, 1.0)]  # ends of axes, the narrowest first
DEGREES = [(0.0, 90.0), (0.0, 180.0)]
MARKED = 8  # points of a curve that bear its marker


@dataclass(frozen=True)
class Run:
    """Where a packing lies beside the front, (distance to the gallery, separation), and the bound on its separation."""

    name: str
    end: np.ndarray
    bound: float | None


def cosines(panels: Sequence[tuple[str, np.ndarray, np.ndarray]], file: Path) -> Path:
    """Draw (name, genuine, impostor) cosines as histograms, one above the other on one axis."""
    low = min(float(x.min()) for _, *pair in panels for x in pair)
    bins = np.linspace(*span(low, 1, COSINES), 76)
    with drawing(file, 5.2, 0.6 + 1.35 * len(panels), len(panels), share="x") as axes:
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
    bins = np.linspace(*span(all_deg.min(), all_deg.max(), DEGREES), 91)
    with drawing(file, 5.2, 0.6 + 1.35 * len(angles_deg), len(angles_deg), share="x") as axes:
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
    with drawing(file, 5.2, 3.6) as (ax,):
        ax.plot(iterations, objective, "o-", color=GENUINE, markersize=4)
        ax.plot(iterations[least], low, "o", color=AGAINST, markersize=7)
        _note(ax, digits(low, 4), (iterations[least], low), (0, 8), color=AGAINST)
        ax.set_xlim(span(0, iterations[-1], UPWARDS))
        ax.set_ylim(span(min(0, low), float(objective.max()), UPWARDS))
        _note(ax, f"start {digits(objective[0], 3)}", (0, objective[0]), (8, 4), ha="left")
        ax.set_xlabel("iterations")
        ax.set_ylabel("J")
        ax.set_title("Course of the packing")
    return file


def front(ends: Mapping[str, np.ndarray], run: Run, separation: str, file: Path) -> Path:
    """Draw (distance to the gallery, separation) for each alpha, joined in order, and where the run lies."""
    with drawing(file, 5.2, 3.6) as (ax,):
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
        ax.set_xlim(span(0, ax.dataLim.x1, UPWARDS))
        ax.set_ylim(span(min(0, ax.dataLim.y0), ax.dataLim.y1, UPWARDS))
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
    with drawing(file, 5.2, 3.6) as (ax,):
        most = max(len(share) for share in curves.values()) + 1
        n = np.arange(2, most + 1)
        chance = 100 * (1 - (1 - false_match_rate) ** (n - 1))
        ax.plot(n, chance, color=INK, linewidth=1, linestyle=DASHES[2], label="at the false match rate")
        ax.axhline(100 * allowed, color=NEITHER, linewidth=1, linestyle=DASHES[1])
        ax.annotate("allowed", (most, 100 * allowed), (0, 3), textcoords="offset points", ha="right", fontsize=8)
        for (name, share), colour, marker in zip(curves.items(), COLOURS[:1] + COLOURS[3:6], MARKERS, strict=False):
            value, low, high = 100 * share.T
            every = max(len(value) // MARKED, 1)
            ax.plot(n[: len(value)], value, f"{marker}-", color=colour, label=name, markersize=4.5, markevery=every)
            ax.fill_between(n[: len(value)], low, high, color=colour, alpha=0.15, linewidth=0)
        ax.set_xlim(0, most)
        ax.set_ylim(span(0, ax.dataLim.y1, UPWARDS))
        ax.set_xlabel("identities enrolled")
        ax.set_ylabel("confused images, %")
        ax.set_title(f"Identity capacity, by the {by}")
        ax.legend(loc="upper left")
    return file
