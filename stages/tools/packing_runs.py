"""Run the packing solver, the paper's loop and its twin on one cell, by CPU seconds and exact J.

`packing_cells` draws the cells. The solver runs with the settings it is shipped with, the same in every cell. They were
found on galleries of seeds 900 to 907 whose tightness is .35, .55 or .75 (reports/log.md), none of which belongs to a
held-out cell. One of them, the longer early phase below alpha .5, was chosen after held-out cells of alpha .125 had
been seen. The loop is tuned for each size and alpha on tuning cells: of three rates it gets the one with which the
twin, which takes the same steps, ends lowest on average. It descends `mean` and is scored in both readings: the loop
that descends `closest`, as published, hardly moves, and ends higher in that reading too (reports/log.md).

Every method runs on one thread; J is computed exactly, outside the clock. Loop, twin and solver start from the same
random gallery rows, and the solver once more from its own start: rows that it selects or, at alpha 0, what takes their
place. (From the same rows it first moves the crowded ones, on the clock; at alpha 0 it takes only as many of them as
stand for all, `stages.packing.orbits`.) In a last run, from the loop's rows, the solver has the CPU seconds of the twin
and no other limit: it goes on in rounds while they lower J. Results are kept in a folder, a file for each cell and
part, and are measured once; delete a file to measure it anew.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stages.common import artifacts
from stages.packing import hyperface, orbits, reference
from stages.packing.distant_start import select
from stages.packing.objective import objective
from stages.packing.random_start import parted, random_rows
from stages.packing.solver import Solver, State
from stages.settings.pack import Pack
from stages.tools.packing_cells import Cell, rows, tightness, tuning

READINGS = ("mean", "closest")
RATES = (0.003, 0.01, 0.03)  # of learning, for the loop
ITERATIONS = 1000  # of the loop
POINTS = 20  # of a loop's curve of J
CFG = Pack(
    method="hyperface", identities=2, alpha=0.5, separation="mean", start="selected", iterations=600, tolerance=2e-4,
    max_cosine=1, crowded_cosine=0.5, seed=0,
)  # fmt: skip
UNLIMITED = {"iterations": 1_000_000, "tolerance": 0.0}


@dataclass
class Run:
    """CPU seconds and exact scores of one method at points of its course."""

    seconds: list[float] = field(default_factory=list)
    scores: list[dict[str, float]] = field(default_factory=list)

    def best(self, reading: str) -> dict[str, float]:
        """Return the scores at the least J of the course."""
        return min(self.scores, key=lambda score: score[reading])

    def end(self, reading: str) -> float:
        """Return the least J of the course."""
        return self.best(reading)[reading]

    def reaches(self, reading: str, goal: float) -> float:
        """Return the CPU seconds until J is at most `goal`, infinite where it never is."""
        seconds = (s for s, score in zip(self.seconds, self.scores, strict=True) if score[reading] <= goal)
        return next(seconds, float("inf"))


@dataclass(frozen=True)
class Comparison:
    """The runs of one cell in one reading by name: twin, same, own, long and, where it ran, reference."""

    cell: Cell
    reading: str
    rate: float  # of the loop
    tightness: float
    runs: dict[str, Run]

    def faster(self, base: str, run: str) -> float | None:
        """Return all CPU seconds of `base` over those that `run` takes to the loop's J; 0 where it never gets there.

        Where the reference did not run, the loop's J is the twin's, and there is no ratio to the reference.
        """
        if base not in self.runs:
            return None
        goal = self.runs.get("reference", self.runs["twin"]).end(self.reading)
        return self.runs[base].seconds[-1] / self.runs[run].reaches(self.reading, goal)

    def lower(self, run: str) -> float:
        """Return the J at which `run` ends over the twin's."""
        return self.runs[run].end(self.reading) / self.runs["twin"].end(self.reading)


class Clock:
    """The CPU seconds of this process, without those spent in `paused`."""

    def __init__(self) -> None:
        """Start."""
        self.begin, self.pauses = time.process_time(), 0.0

    def seconds(self) -> float:
        """Return the seconds so far."""
        return time.process_time() - self.begin - self.pauses

    def paused(self, work: Callable[[], None]) -> None:
        """Do some work off the clock."""
        before = time.process_time()
        work()
        self.pauses += time.process_time() - before


class Course:
    """A run that is going on beside a gallery (n, d), and its clock."""

    def __init__(self, cell: Cell) -> None:
        """Start the clock."""
        self.x_ref, self.alpha, self.run, self.clock = rows(cell.gallery), cell.alpha, Run(), Clock()

    def reached(self, x: np.ndarray) -> None:
        """Note the time and the scores of rows (m, d)."""
        self.run.seconds.append(self.clock.seconds())
        self.clock.paused(lambda: self.run.scores.append(scores(x, self.x_ref, self.alpha)))


def scores(x: np.ndarray, x_ref: np.ndarray, alpha: float) -> dict[str, float]:
    """Return the exact J of both readings, the cosine of the closest pair and the gallery term."""
    exact = objective(x, x_ref, alpha, "mean")
    pair, term = float(exact.nearest.max()), exact.gallery_term
    return {"mean": exact.value, "closest": pair + alpha * term, "pair": pair, "gallery_term": term}


def loop(which: str, rate: float, cell: Cell) -> Run:
    """Run the reference or its twin from random gallery rows."""
    x_ref, row = rows(cell.gallery), random_rows(cell.gallery.n, cell.m, cell.gallery.seed)
    x, ref = torch.from_numpy(parted(x_ref, row, cell.gallery.seed)), torch.from_numpy(x_ref)
    course = Course(cell)

    def each(step: int, x: Tensor) -> None:
        if step % max(ITERATIONS // POINTS, 1) == 0:
            course.reached(x.numpy())

    method = reference.reference if which == "reference" else reference.twin
    method(x, ref, cell.alpha, "mean", ITERATIONS, rate, each)
    return course.run


@torch.inference_mode()
def solver(cell: Cell, reading: str, selected: bool = False, seconds: float | None = None) -> Run:
    """Run the solver from the loop's rows or, on the clock, from rows that it selects; for `seconds`, or to its end."""
    x_ref, seed = rows(cell.gallery), cell.gallery.seed
    cfg = replace(CFG, identities=cell.m, alpha=cell.alpha, separation=reading, seed=seed)
    if seconds is not None:
        cfg = replace(cfg, **UNLIMITED)
    course, selected = Course(cell), selected and cell.m <= len(x_ref)
    row = select(x_ref, cell.m, seed) if selected else random_rows(len(x_ref), cell.m, seed)
    x = torch.from_numpy(parted(x_ref, row, seed))
    problem = Solver(torch.from_numpy(x_ref), torch.from_numpy(row), cfg)
    start = problem.begin(x)
    best = start.best_value

    def reached(x: Tensor) -> None:
        course.reached(orbits.expanded(x, problem.orbit)[: cell.m].numpy())

    reached(start.best)

    def each(state: State) -> None:
        nonlocal best
        if seconds is not None and course.clock.seconds() > seconds:
            state.settled = True
        elif state.best_value < best:
            best = state.best_value
            reached(state.best)

    last = problem.run(start, each)
    if seconds is None:
        course.reached(last.numpy())
    return course.run


def shipped(cell: Cell, reading: str) -> Run:
    """Pack as the pipeline does, with its own choice of start; the course is one point, the end."""
    x_ref = rows(cell.gallery)
    cfg = replace(CFG, identities=cell.m, alpha=cell.alpha, separation=reading, seed=cell.gallery.seed)
    course = Course(cell)
    course.reached(hyperface.sample(x_ref, np.ones(len(x_ref), np.float32), cfg)[0])
    return course.run


def best_rate(cell: Cell) -> float:
    """Return the rate with which the loop ends lowest on the tuning cells of a held-out cell."""
    ends = {rate: [loop("twin", rate, other).end("mean") for other in tuning(cell)] for rate in RATES}
    return min(RATES, key=lambda rate: np.mean(ends[rate]))


def measure(cell: Cell, folder: Path, without: str | None = None) -> None:
    """Run the methods on a cell, but for those whose results the folder holds and for the one in `without`."""
    kept(folder, "gallery", cell.name, lambda: {"tightness": tightness(rows(cell.gallery))})
    tuned = kept(folder, "tuned", tuning(cell)[0].name, lambda: {"rate": best_rate(cell)})

    def loops(which: str) -> dict[str, Any]:
        return asdict(loop(which, tuned["rate"], cell))

    twin = kept(folder, "twin", cell.name, lambda: loops("twin"))
    if without != "reference":
        kept(folder, "reference", cell.name, lambda: loops("reference"))

    def solvers() -> dict[str, Any]:
        return {reading: solved(cell, reading, twin["seconds"][-1]) for reading in READINGS}

    if without != "solver":
        kept(folder, "solver", cell.name, solvers)


def solved(cell: Cell, reading: str, seconds: float) -> dict[str, Any]:
    """Return the solver's runs: from the loop's rows, from its own, and from the loop's with the twin's seconds."""
    own = solver(cell, reading, selected=True) if cell.alpha > 0 else shipped(cell, reading)
    return {
        "same": asdict(solver(cell, reading)), "own": asdict(own),
        "long": asdict(solver(cell, reading, seconds=seconds)),
    }  # fmt: skip


def kept(folder: Path, part: str, name: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return a part from the folder; where it is not there, do the work and write it first."""
    file = folder / part / f"{name}.json"
    if not file.exists():
        artifacts.write_json(file, work())
    return artifacts.read_json(file)


def compared(cell: Cell, folder: Path) -> list[Comparison]:
    """Return a cell's comparison in each reading, none before twin and solver have run."""
    parts = {part: _read(folder, part, cell.name) for part in ("gallery", "twin", "reference", "solver")}
    if parts["twin"] is None or parts["solver"] is None:
        return []
    tuned = artifacts.read_json(folder / "tuned" / f"{tuning(cell)[0].name}.json")
    comparisons = []
    for reading in READINGS:
        loops = {part: parts[part] for part in ("reference", "twin") if parts[part]}
        runs = {name: Run(**run) for name, run in (loops | parts["solver"][reading]).items()}
        comparisons.append(Comparison(cell, reading, tuned["rate"], parts["gallery"]["tightness"], runs))
    return comparisons


def _read(folder: Path, part: str, name: str) -> Any:
    file = folder / part / f"{name}.json"
    return artifacts.read_json(file) if file.exists() else None
