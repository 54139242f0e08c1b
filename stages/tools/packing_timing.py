"""Set the packing solver against the paper's loop: J and CPU seconds, on instances that neither was tuned on.

`stages.tools.packing_cells` says which instances, `packing_runs` what runs on them. Results are kept in a scratch
folder, so that a run that was stopped goes on, and two processes may share the cells. The files below are written anew
after every cell, from all results in the folder. It does not notice changes of code: after a change of the solver,
remove its part. The front shows, over alpha, the cosine of the closest pair against the distance to the gallery.

writes  reports/timing/pack.json  every figure by cell, and their summary, from which README.md takes its own
        reports/timing/pack.md    the same as tables, the worst cell first
        reports/timing/pack.png   J against CPU seconds in the worst cell, a middling one and the best
        reports/timing/front.png  closest pair against distance to the gallery as alpha grows, in the face world
"""

import os
import re
import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import normalize

from stages.common import scratch
from stages.common.errors import InputError
from stages.metrics.bounds import lower_bound
from stages.packing import hyperface
from stages.packing.solver import Solver
from stages.reporting import markdown
from stages.tools import packing_tables as tables
from stages.tools.packing_cells import ALPHAS, TUNING_SEEDS, Cell, Drawn, drawn, rows, world
from stages.tools.packing_runs import CFG, compared, kept, measure, scores

SIZES = (1_000, 3_000, 10_000)  # identities of the cost model
EXTRAS = ("cost", "large")  # what `--cells` may name beside cells


def short(seeds: Sequence[int]) -> list[Cell]:
    """Return the cells of some minutes."""
    return [*drawn(64, 200, 6, seeds or range(1, 7)), *world(128, 150, 600, (0.25, 0.5, 1.0), (*seeds, 1)[0])]


def full(seeds: Sequence[int]) -> list[Cell]:
    """Return the cells of some hours: beside 20,000 gallery rows the loop takes about ten minutes for each."""
    cells = [
        cell for d, count in ((512, 24), (128, 6), (64, 6)) for cell in drawn(d, 1000, count, seeds or range(1, 25))
    ]
    seed = (*seeds, 1)[0]
    large = Cell(Drawn(12_000, 512, 0.6, 200, "falling", 0.0, seed), 3000, 0.5)
    return [*cells, *world(128, 420, 1500, ALPHAS, seed), large]


@dataclass(frozen=True)
class LargeCase:
    """A packing by the pipeline's own sampler on all cores, and the limit of one of its figures."""

    gallery: Drawn
    m: int
    alpha: float
    figure: str  # `minutes`, or `closest pair`
    at_most: float

    @property
    def name(self) -> str:
        """Return its parameters, as a file's name."""
        return f"{self.m}-{self.gallery.n}-{self.gallery.d}-{self.alpha}"


LARGE_CASES = (
    LargeCase(Drawn(40_000, 512, 0.6, 200, "falling", 0.0, 1), 10_000, 0.5, "minutes", 3),
    LargeCase(Drawn(10_000, 512, 0.6, 200, "falling", 0.0, 1), 10_000, 0.0, "closest pair", 0.053),
    LargeCase(Drawn(2000, 128, 0.6, 200, "falling", 0.0, 1), 2000, 0.0, "closest pair", 0.098),
)


def main(
    is_full: bool, seeds: Sequence[int] = (), save: bool = False, parts: Sequence[str] = (), without: str | None = None,
    folder: Path | None = None,
) -> None:  # fmt: skip
    """Measure every cell, or the `parts` named, print their rows and `save` tables and figures.

    `seeds` replace those of the held-out cells. Raises ValueError where one is a tuning gallery's.
    """
    if tuned := set(TUNING_SEEDS) & set(seeds):
        problem = "the loop is tuned on a gallery of this seed"
        raise InputError(None, problem, key="--seeds", value=min(tuned), allowed="any other")
    torch.set_num_threads(1)
    folder = folder or scratch.root() / "timing"
    cells = (full if is_full else short)(seeds)
    extras, places = split(parts or [*(EXTRAS if is_full else ()), f"0-{len(cells) - 1}"], len(cells))
    if "cost" in extras:  # first: the peak of memory is then its own
        kept(folder, "cost", "cost", lambda: {"sizes": [cost(m) for m in SIZES]})
    for case in LARGE_CASES if "large" in extras else ():
        kept(folder, "large", case.name, partial(pack_large, case))
    if save:
        tables.write(cells, folder)
    print("\n".join([*tables.extras(folder), markdown.line(["cell", *tables.COLUMNS])]), flush=True)
    for place in places:
        measure(cells[place], folder, without)
        for comparison in compared(cells[place], folder):
            print(markdown.line([f"{place}", *tables.cells(tables.row_of(comparison))]), flush=True)
        if save:
            tables.write(cells, folder)


def split(parts: Sequence[str], count: int) -> tuple[list[str], list[int]]:
    """Return the extras and the places of cells that words such as `cost`, `7` and `0-11` name, or raise ValueError."""
    extras, places = [name for name in EXTRAS if name in parts], []
    for word in parts:
        if word in EXTRAS:
            continue
        ends = re.fullmatch(r"(\d+)(?:-(\d+))?", word)
        first, last = (int(ends[1]), int(ends[2] or ends[1])) if ends else (1, 0)
        if not first <= last < count:
            allowed = f"0 to {count - 1}, ranges of these, {' and '.join(EXTRAS)}"
            raise InputError(None, key="--cells", value=word, allowed=allowed)
        places += range(first, last + 1)
    return extras, places


def pack_large(case: LargeCase) -> dict[str, Any]:
    """Pack on all cores; returns J, the closest pair's cosine, minutes by the clock and CPU seconds."""
    x_ref, cores = rows(case.gallery), len(os.sched_getaffinity(0))
    cfg = replace(CFG, identities=case.m, alpha=case.alpha, separation="closest", seed=case.gallery.seed)
    torch.set_num_threads(cores)
    begin, cpu_begin = time.perf_counter(), time.process_time()
    x = hyperface.sample(x_ref, np.ones(len(x_ref), np.float32), cfg)[0]
    wall, cpu = time.perf_counter() - begin, time.process_time() - cpu_begin
    torch.set_num_threads(1)
    end = scores(x, x_ref, case.alpha)
    row = {"m": case.m, "n": case.gallery.n, "d": case.gallery.d, "alpha": case.alpha, "J": end["closest"]}
    row |= {"closest pair": end["pair"], "bound": lower_bound(case.m, case.gallery.d), "minutes": wall / 60}
    row |= {"CPU s": cpu, "cores": cores, "figure": case.figure, "asked": case.at_most}
    return row | {"holds": row[case.figure] <= case.at_most}


def cost(m: int, d: int = 512, iterations: int = 3) -> dict[str, float]:
    """Return CPU seconds per iteration of the solver at m identities, early and late, and the peak memory in GB.

    Late iterations are the precise ones, with which a run ends; the peak is the process's so far. What happens once or
    now and then is not timed: how a run begins, new step sizes, the search for nearer gallery rows, the exact J.
    """
    x_ref = normalize(torch.randn(m, d, generator=torch.Generator().manual_seed(1)))
    problem, seconds = Solver(x_ref, torch.arange(m), replace(CFG, identities=m)), {}
    state = problem.begin(x_ref)
    for when in ("early", "late"):
        if when == "late":
            state.slope *= max(state.depth() / problem.depth, 1)
        state.step = 1  # with new step sizes only where early iterations make them
        problem.advance(state)
        before = time.process_time()
        for _ in range(iterations):
            problem.advance(state)
        seconds[when] = (time.process_time() - before) / iterations
    return {"m": m, **seconds, "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6}
