"""Write the measurements of packing: results by cell as JSON, tables and figures, the worst cell first."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import gmean

from stages.common import artifacts
from stages.reporting import markdown
from stages.tools.packing_cells import Cell
from stages.tools.packing_runs import ITERATIONS, RATES, Comparison, compared

FOLDER = Path("reports/timing")
RUNS = ("reference", "twin", "same", "own", "long")

Row = dict[str, Any]


@dataclass(frozen=True)
class Goal:
    """What a figure shall be in every cell: at least `limit` (`is_least`), or at most."""

    name: str
    figure: str
    limit: float
    is_least: bool

    def holds(self, value: float) -> bool:
        """Say whether a value reaches the goal."""
        return value >= self.limit if self.is_least else value <= self.limit

    def worst(self, rows: Iterable[Row]) -> Row:
        """Return the row with the worst value."""
        return (min if self.is_least else max)(rows, key=lambda row: row[self.figure])


GOALS = (
    Goal("loop / solver, CPU s, same rows", "reference / same", 30, is_least=True),
    Goal("twin / solver, CPU s, same rows", "twin / same", 3, is_least=True),
    Goal("J, same rows, over the twin's", "J same", 1, is_least=False),
    Goal("J in the twin's time, same rows, over the twin's", "J long", 0.98, is_least=False),
    Goal("loop / solver, CPU s, own rows", "reference / own", 60, is_least=True),
    Goal("twin / solver, CPU s, own rows", "twin / own", 6, is_least=True),
    Goal("J, own rows, over the twin's", "J own", 0.97, is_least=False),
)
INTRODUCTION = f"""# Packing: the solver against the published loop

Written by `python -m stages.tools.timing pack`, which says how. CPU seconds of one thread. `reference` is the published
loop, {ITERATIONS:,} iterations of Adam by autograd in float32, `twin` the same steps by analytic gradient and bfloat16
products; both run from random gallery rows. `same` is the solver from the same rows (at alpha 0: from as many of them
as stand for all), `own` from those that it selects (at alpha 0: from what takes their place), `long` from the same rows
with the CPU seconds of the twin. The loop's rate is the best of {len(RATES)} for each size and alpha on other
galleries; the solver is the same throughout. Ratios of seconds are those of the loop, whole, over those of the solver
until its exact J is at most the loop's, 0 where it never is, which means leave out; ratios of J are over the twin's,
below 1 is lower. `tightness` is the mean cosine of a gallery row to its nearest. Cells that did not run are left out.
"""


def row_of(comparison: Comparison) -> Row:
    """Return the figures of a comparison, None where the reference did not run."""
    cell, reading, runs = comparison.cell, comparison.reading, comparison.runs
    ends = {name: runs[name].best(reading) if name in runs else {} for name in RUNS}
    row: Row = {"instance": type(cell.gallery).__name__.lower(), "m": cell.m, "alpha": cell.alpha}
    row |= {"reading": reading} | asdict(cell.gallery) | {"tightness": comparison.tightness}
    row |= {
        f"{base} / {run}": comparison.faster(base, run) for base in ("reference", "twin") for run in ("same", "own")
    }
    row |= {f"J {run}": comparison.lower(run) for run in ("same", "long", "own")}
    row["rate"] = comparison.rate
    row["cell"] = description(row)
    row["J"] = {name: end.get(reading) for name, end in ends.items()}
    row["closest pair"] = {name: end.get("pair") for name, end in ends.items()}
    row["gallery term"] = {name: end.get("gallery_term") for name, end in ends.items()}
    row["seconds"] = {name: runs[name].seconds[-1] if name in runs else None for name in RUNS}
    return row


def worst_first(rows: Sequence[Row]) -> list[int]:
    """Return the places of rows in order: by how much faster than the loop the solver is from its rows, then by J."""
    base = "twin" if any(row["reference / same"] is None for row in rows) else "reference"
    return sorted(range(len(rows)), key=lambda i: (rows[i][f"{base} / same"], -rows[i]["J same"]))


def group(row: Row) -> str:
    """Return the name of a row's group: cells of its kind and size."""
    kind = "face world, " if row["instance"] == "world" else ""
    return f"{kind}d = {row['d']}, m = {row['m']:,}" + (", alpha 0" if row["alpha"] == 0 else "")


def description(row: Row) -> str:
    """Say in words which cell a row is about."""
    words = f"alpha {row['alpha']:g}, `{row['reading']}`, m = {row['m']:,} of {row['n']:,}, d = {row['d']}"
    words += f", tightness {row['tightness']:.2f}"
    if row["instance"] == "world":
        return f"{words}, face world"
    clusters = "1 cluster" if row["clusters"] == 1 else f"{row['clusters']:,} clusters"
    return f"{words}, {clusters}, {row['spectrum']}, {100 * row['duplicates']:.0f} % duplicates, seed {row['seed']}"


def summary(rows: Sequence[Row]) -> list[Row]:
    """Return, for each group of cells and each goal, the figure's geometric mean, its worst value, and in which cell.

    The mean of a ratio of seconds is over the rows in which the solver gets to the loop's J; `never` counts the others.
    """
    sums = []
    for name in dict.fromkeys(map(group, rows)):
        for goal in GOALS:
            measured = [row for row in rows if group(row) == name and row[goal.figure] is not None]
            if measured:
                worst = goal.worst(measured)
                values = [max(row[goal.figure], 0.0) for row in measured]  # a perfect J may round to below 0
                reached = [value for value in values if value or not goal.is_least]  # a ratio of seconds is 0: never
                mean, never = float(gmean(reached)) if reached else 0.0, len(values) - len(reached)
                sums.append({
                    "cells": name, "rows": len(measured), "never": never, "figure": goal.name, "mean": mean,
                    "worst": worst[goal.figure], "asked": goal.limit,
                    "holds": {"mean": not never and goal.holds(mean), "worst": goal.holds(worst[goal.figure])},
                    "worst cell": worst["cell"],
                })  # fmt: skip
    return sums


def write(instances: Sequence[Cell], folder: Path) -> None:
    """Write the results, tables and figures of those of these cells that have run."""
    comparisons = [comparison for cell in instances for comparison in compared(cell, folder)]
    if not comparisons:
        return
    in_order = [row_of(comparison) for comparison in comparisons]
    order, sums = worst_first(in_order), summary(in_order)
    rows = [in_order[i] for i in order]
    results = {"summary": sums, "large": _read(folder / "large"), "cost": _read(folder / "cost"), "cells": rows}
    artifacts.write_json(FOLDER / "pack.json", results)
    first = group(in_order[0]).removesuffix(", alpha 0")
    blocks = [INTRODUCTION, "## The figures and what is asked of them\n", markdown.table(SUMMARY, map(_sum, sums)), ""]
    for title, is_first in ((f"Every cell of {first}", True), ("Every other cell", False)):
        part = [row for row in rows if group(row).startswith(first) == is_first]
        blocks += [f"## {title}, the worst first\n", markdown.table(COLUMNS, map(cells, part)), ""]
    blocks += ["## Chosen on the tuning galleries\n", markdown.table(CHOSEN, _choices(in_order)), ""]
    points = [row for row in in_order if row["instance"] == "world" and row["reading"] == "closest"]
    if points:
        blocks += [
            "## The front in the face world, reading `closest`\n",
            markdown.table(FRONT, map(_point, points)),
            "",
        ]
        draw_front(points, FOLDER / "front.png")
    blocks += extras(folder)
    with artifacts.output_file(FOLDER / "pack.md") as fresh:
        fresh.write_text("\n".join(blocks).rstrip() + "\n")
    draw([comparisons[i] for i in order], FOLDER / "pack.png")


SUMMARY = ["cells", "rows", "figure", "geometric mean", "worst", "asked", "holds", "worst cell"]
RATIOS = ["reference / same", "twin / same", "reference / own", "twin / own"]
LOWER = ["J same", "J long", "J own"]  # over the twin's
GALLERY = ["tightness", "clusters", "spectrum", "duplicates", "seed"]
CHOSEN = ["instance", "d", "m", "alpha", "loop's rate"]
FRONT_RUNS = ("reference", "same", "own")
TERMS = ("closest pair", "gallery term")
FRONT = ["alpha", *(f"{term} {run}" for term in TERMS for run in FRONT_RUNS)]
COLUMNS = [
    "instance", "d", "m", "n", "alpha", "reading", *GALLERY, *RATIOS,
    *(f"{ratio} / twin" for ratio in LOWER), *(f"J {run}" for run in RUNS), *(f"s {run}" for run in RUNS),
]  # fmt: skip


def cells(row: Row) -> list[str]:
    """Return a row of the tables under COLUMNS."""
    texts = [row["instance"], f"{row['d']}", f"{row['m']}", f"{row['n']}", f"{row['alpha']:g}", row["reading"]]
    texts += [f"{row['tightness']:.2f}", *(f"{row.get(name, '')}" for name in GALLERY[1:])]
    texts += [_digits(row[name], 1) for name in RATIOS] + [_digits(row[name], 3) for name in LOWER]
    return texts + [_digits(row["J"][run], 4) for run in RUNS] + [_digits(row["seconds"][run], 2) for run in RUNS]


def _digits(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _sum(row: Row) -> list[str]:
    digits = 3 if row["figure"].startswith("J") else 1
    holds = "yes" if row["holds"]["worst"] else "on average" if row["holds"]["mean"] else "no"
    worst = "never" if row["never"] else _digits(row["worst"], digits)
    numbers = [_digits(row["mean"], digits), worst, f"{row['asked']:g}"]
    return [row["cells"], f"{row['rows']}", row["figure"], *numbers, holds, row["worst cell"]]


def _choices(rows: Iterable[Row]) -> Iterator[list[str]]:
    size = ["instance", "d", "m", "alpha", "rate"]
    for line in dict.fromkeys(tuple(f"{row[name]}" for name in size) for row in rows):
        yield list(line)


def _point(row: Row) -> list[str]:
    values = (row[term][run] for term in TERMS for run in FRONT_RUNS)
    return [f"{row['alpha']:g}", *(_digits(value, 4) for value in values)]


def _read(folder: Path) -> list[Row]:
    return [artifacts.read_json(file) for file in sorted(folder.glob("*.json"))]


def extras(folder: Path) -> list[str]:
    """Return the tables of large packings and of the cost of an iteration, if the folder has their results."""
    return [*_large(folder), *_costs(folder)]


def _large(folder: Path) -> list[str]:
    header = ["m", "n", "d", "alpha", "J", "closest pair", "its bound", "minutes", "cores", "CPU s", "asked", "holds"]
    lines = []
    for row in _read(folder / "large"):
        numbers = [f"{row['J']:.4f}", f"{row['closest pair']:.4f}", f"{row['bound']:.4f}", f"{row['minutes']:.2f}"]
        goal = [f"{row['figure']} at most {row['asked']:g}", "yes" if row["holds"] else "no"]
        size = [f"{row[name]:g}" for name in ("m", "n", "d", "alpha")]
        lines.append([*size, *numbers, f"{row['cores']}", f"{row['CPU s']:.0f}", *goal])
    return ["## Large packings, reading `closest`\n", markdown.table(header, lines), ""] if lines else []


def _costs(folder: Path) -> list[str]:
    """Return the table of the cost model a m^2 + b m, fitted at the smallest and the largest m."""
    costs = [row for cost in _read(folder / "cost") for row in cost["sizes"]]
    if not costs:
        return []
    size, early, late, peak = (np.array([row[name] for row in costs]) for name in ("m", "early", "late", "peak_gb"))
    powers = np.stack([size**2, size], axis=1).astype(float)  # (sizes, 2)
    factors = np.linalg.solve(powers[[0, -1]], np.stack([early, late], axis=1)[[0, -1]])  # (2, 2)
    modelled = powers @ factors  # (sizes, 2)
    seconds = np.stack([early, modelled[:, 0], late, modelled[:, 1]], axis=1)
    lines = [
        [f"{m}", *(f"{value:.3f}" for value in row), f"{gb:.2f}"]
        for m, row, gb in zip(size, seconds, peak, strict=True)
    ]
    models = [
        f"- {when}: {square:.3g} m^2 + {linear:.3g} m seconds"
        for when, (square, linear) in zip(("early", "late"), factors.T, strict=True)
    ]
    header = ["m", "early, s per iteration", "model", "late, s per iteration", "model", "peak GB"]
    return [
        "## Cost of an iteration\n", markdown.table(header, lines), "",
        "Models at d = 512, fitted at the first size and the last:\n", *models,
    ]  # fmt: skip


def draw(comparisons: Sequence[Comparison], file: Path) -> None:
    """Draw J against CPU seconds in the first, the middle and the last comparison; they are sorted, the worst first."""
    figure = Figure(figsize=(13, 3.8), layout="constrained")
    places = {"worst": 0, "middle": len(comparisons) // 2, "best": -1}
    for ax, (name, place) in zip(figure.subplots(1, len(places)), places.items(), strict=True):
        cell, reading, runs = comparisons[place].cell, comparisons[place].reading, comparisons[place].runs
        for run_name, run in runs.items():
            ax.plot(run.seconds, [score[reading] for score in run.scores], marker=".", label=run_name)
        title = f"{name}: d = {cell.gallery.d}, m = {cell.m} of {cell.gallery.n}, alpha {cell.alpha:g}, {reading}"
        ax.set_title(title, fontsize=9)
        ax.set(xscale="log", xlabel="CPU seconds", ylabel="J")
        ax.set_ylim(top=1.6 * max(run.end(reading) for run in runs.values()))
        ax.legend(fontsize=7)
    _save(figure, file)


def draw_front(points: Sequence[Row], file: Path) -> None:
    """Draw the closest pair's cosine against the distance to the gallery: a line per method, a point per alpha."""
    figure = Figure(figsize=(5.2, 3.8), layout="constrained")
    ax = figure.subplots()
    for run in FRONT_RUNS:
        front = [(row["gallery term"][run], row["closest pair"][run], row["alpha"]) for row in points if row["J"][run]]
        ax.plot([x for x, _, _ in front], [y for _, y, _ in front], marker="o", label=run)
        for x, y, alpha in front if run == FRONT_RUNS[0] else ():  # the others lie beside it
            ax.annotate(f"{alpha:g}", (x, y), (4, 4), textcoords="offset points", fontsize=7)
    ax.set(title=f"face world, m = {points[0]['m']}; numbers: alpha", xlabel="mean distance to the gallery, 1 - cosine")
    ax.set_ylabel("cosine of the closest pair")
    ax.legend(fontsize=7)
    _save(figure, file)


def _save(figure: Figure, file: Path) -> None:
    with artifacts.output_file(file) as fresh:
        figure.savefig(fresh, dpi=120, metadata={"Software": None})
