"""Set the packing solver against the paper's loop: J and CPU seconds, on instances that neither was tuned on.

Instances: `clustered`, from `face_like` below, and `world`, wild people of the face world embedded by the committed
recogniser. The loop and its twin (`stages.packing.reference`) choose among the RATES of learning, tried by the twin on
tuning instances of the same kind and size; the solver has none to choose, its constants are those of the code. The
published loop of the closest pair hardly moves, so that for the reading `closest` the loop is the better of the
published one and of that of `mean`. Every method then runs on held-out seeds, in turn within one process, on one
thread; J is computed exactly, outside the clock.

writes   reports/timing/pack.md   the table        reports/timing/pack.png   J against CPU seconds
"""

import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from stages.common import artifacts, sphere
from stages.packing import reference
from stages.packing.objective import objective
from stages.packing.select import select
from stages.packing.solver import Solver, State
from stages.packing.start import random_rows
from stages.recognisers.embedded import load
from stages.settings.pack import Pack
from stages.world.album import portraits

FOLDER = Path("reports/timing")
RATES = (0.003, 0.01, 0.03)
TUNING_SEED = 900
CLUSTERS, SHARE, DECAY = 200, 0.3, 50.0
POINTS = 20  # of a curve of J
LARGE = (3_000, 10_000, 30_000, 100_000)  # identities of the cost model
CFG = Pack(
    method="hyperface", identities=2, alpha=0.5, separation="mean", start="random", iterations=600, tolerance=2e-4,
    max_cosine=1, crowded_cosine=0.5, seed=0,
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One row of the table for each method: m identities from a gallery of n, held-out seeds."""

    kind: str
    m: int
    n: int
    alphas: tuple[float, ...]
    seeds: tuple[int, ...]
    iterations: int = 1000


SHORT = [Case("clustered", 300, 1200, (0.25, 0.5, 1.0), (1, 2)), Case("world", 150, 600, (0.5,), (1,))]
FULL = [
    Case("clustered", 1000, 4000, (0.25, 0.5, 1.0), (1, 2, 3, 4, 5)),
    Case("clustered", 3000, 12_000, (0.5,), (1,)),
    Case("world", 420, 1500, (0.5,), (1, 2, 3)),
]


@dataclass
class Run:
    """What one method did: CPU seconds and exact J by reading, at points of its course."""

    name: str
    seconds: list[float] = field(default_factory=list)
    values: list[dict[str, float]] = field(default_factory=list)

    def end(self, reading: str) -> float:
        """Return the least J of the course."""
        return min(value[reading] for value in self.values)

    def reaches(self, reading: str, goal: float) -> float:
        """Return the CPU seconds until J is at most `goal`, infinite where it never is."""
        done = (s for s, value in zip(self.seconds, self.values, strict=True) if value[reading] <= goal)
        return next(done, float("inf"))


class Clock:
    """CPU seconds of this process without those spent within `paused`."""

    def __init__(self) -> None:
        """Start."""
        self.begun, self.stopped = time.process_time(), 0.0

    def seconds(self) -> float:
        """Return the seconds so far."""
        return time.process_time() - self.begun - self.stopped

    def paused(self, work: Callable[[], None]) -> None:
        """Do something that does not count."""
        before = time.process_time()
        work()
        self.stopped += time.process_time() - before


def face_like(n: int, d: int, seed: int) -> np.ndarray:
    """Return unit rows (n, d) in clusters: sqrt(SHARE) of a centre and the rest around it.

    Centres and rests are Gaussian directions with coordinates that fall by exp(-k / (2 DECAY)): cosines of unrelated
    rows have a standard deviation of 0.10, the nearest of 1,000 rows is at 0.39 on average.
    """
    rng = np.random.default_rng([TUNING_SEED, seed])
    size = np.exp(-np.arange(d) / (2 * DECAY))
    centres = sphere.unit_rows(rng.standard_normal((CLUSTERS, d)) * size)
    x = np.empty((n, d), np.float32)
    for begin in range(0, n, 10_000):
        rest = sphere.unit_rows(rng.standard_normal((min(10_000, n - begin), d)) * size)
        x[begin : begin + 10_000] = SHARE**0.5 * centres[rng.integers(CLUSTERS, size=len(rest))]
        x[begin : begin + 10_000] += (1 - SHARE) ** 0.5 * rest
    return sphere.unit_rows(x)


def world(n: int, seed: int) -> np.ndarray:
    """Return rows (n, d) of wild people of the face world, one photograph each, by the committed recogniser."""
    recogniser = load("data/pretrain/recogniser.safetensors")
    album = portraits("timing", seed, n, 1, "wild", 0.5)
    return sphere.unit_rows(recogniser.embed(album.faces(slice(None), recogniser.size_px)))


def instance(case: Case, seed: int) -> np.ndarray:
    """Return the gallery (n, d) of a case."""
    return world(case.n, seed) if case.kind == "world" else face_like(case.n, 512, seed)


def scores(x: Tensor, x_ref: np.ndarray, alpha: float) -> dict[str, float]:
    """Return the exact J of both readings."""
    found = objective(x.numpy(), x_ref, alpha, "mean")
    return {"mean": found.value, "closest": float(found.nearest.max()) + alpha * found.gallery_term}


def loop(
    which: str, reading: str, x_ref: np.ndarray, row: np.ndarray, alpha: float, iterations: int, rate: float
) -> Run:
    """Run the reference or its twin from gallery rows `row`."""
    run, ref = Run(which), torch.from_numpy(x_ref)
    clock = Clock()

    def each(step: int, x: Tensor) -> None:
        if step % max(iterations // POINTS, 1) == 0:
            run.seconds.append(clock.seconds())
            clock.paused(lambda: run.values.append(scores(x, x_ref, alpha)))

    method = reference.reference if which == "reference" else reference.twin
    method(ref[torch.from_numpy(row)], ref, alpha, reading, iterations, rate, each)
    return run


@torch.inference_mode()
def solver(x_ref: np.ndarray, row: np.ndarray | None, alpha: float, reading: str, seed: int, m: int) -> Run:
    """Run the solver from gallery rows `row`, or from those that it selects, which then count."""
    run = Run("solver" if row is not None else "solver, own start")
    clock, cfg = Clock(), replace(CFG, alpha=alpha, separation=reading, seed=seed)
    row = select(x_ref, m, seed) if row is None else row
    ref = torch.from_numpy(x_ref)
    problem = Solver(ref, torch.from_numpy(row), cfg)

    def each(state: State) -> None:
        seconds, shown = clock.seconds(), state.best if state.step % 25 == 0 else None
        if shown is not None:
            run.seconds.append(seconds)
            clock.paused(lambda: run.values.append(scores(shown, x_ref, alpha)))

    problem.run(problem.begin(ref[torch.from_numpy(row)]), each)
    return run


def tuned(case: Case, alpha: float) -> dict[str, tuple[str, float]]:
    """Return, for each reading, which loop and rate end lowest on the tuning instance."""
    x_ref = instance(case, TUNING_SEED)
    row = random_rows(case.n, case.m, TUNING_SEED)
    trials = {
        (which, rate): loop("twin", which, x_ref, row, alpha, case.iterations, rate)
        for which in ("mean", "closest") for rate in RATES
    }  # fmt: skip
    allowed = {"mean": [key for key in trials if key[0] == "mean"], "closest": list(trials)}
    return {reading: min(keys, key=lambda key: trials[key].end(reading)) for reading, keys in allowed.items()}


def compare(case: Case) -> Iterator[tuple[float, int, str, list[Run]]]:
    """Yield alpha, seed, reading and the four runs."""
    for alpha in case.alphas:
        chosen = tuned(case, alpha)
        for seed in case.seeds:
            x_ref, row = instance(case, seed), random_rows(case.n, case.m, seed)
            loops: dict[tuple[str, float], list[Run]] = {}
            for reading in ("mean", "closest"):
                which, rate = chosen[reading]
                if (which, rate) not in loops:  # the loop of `mean` often serves both readings
                    args = (which, x_ref, row, alpha, case.iterations, rate)
                    loops[which, rate] = [loop("reference", *args), loop("twin", *args)]
                own = [solver(x_ref, start, alpha, reading, seed, case.m) for start in (row, None)]
                yield alpha, seed, reading, [*loops[which, rate], *own]


def cost(m: int, d: int = 512, iterations: int = 3) -> tuple[float, float]:
    """Return CPU seconds per iteration of the solver at m identities, and the process's peak memory so far in GB."""
    x_ref = torch.from_numpy(face_like(m, d, 1))
    problem = Solver(x_ref, torch.arange(m), CFG)
    own = x_ref.clone()
    state = State(own, torch.zeros_like(own), torch.ones(m, 1), own, np.inf, 0.2)
    fast = problem.advance(state, problem.fast_rows(own))
    before = time.process_time()
    for _ in range(iterations):
        fast = problem.advance(state, fast)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return (time.process_time() - before) / iterations, peak


def main(full: bool) -> None:
    """Compare on every case, print and write the table and the figure; `full` adds the large sizes."""
    torch.set_num_threads(1)
    text, panels = [HEADER], []
    for case in FULL if full else SHORT:
        for alpha, seed, reading, runs in compare(case):
            line = row_of(case, alpha, seed, reading, runs)
            print(line, flush=True)
            text.append(line)
            if seed == case.seeds[0]:
                panels.append((f"{case.kind}, m = {case.m}, alpha = {alpha:g}, {reading}", reading, runs))
    if full:
        text += ["", *scaling()]
    with artifacts.output_file(FOLDER / "pack.md") as fresh:
        fresh.write_text(f"{INTRODUCTION}\n" + "\n".join(text) + "\n")
    draw(panels, FOLDER / "pack.png")


INTRODUCTION = f"""# Packing: the solver against the published loop

Written by `python -m stages.tools.timing pack`, which says how. CPU seconds of one thread. `reference` is Adam by
autograd in float32, `twin` the same steps by analytic gradient and bfloat16 products; both run from random gallery rows
with the best of {len(RATES)} learning rates. `same` is the solver from the same rows, `own` from those that it selects.
The ratios are CPU seconds of the loop, whole, over those of the solver until its exact J is at most the loop's.
"""
HEADER = (
    "| instance | m | alpha | reading | seed | J reference | J twin | J same | J own | s reference | s twin | s same "
    "| s own | reference / same | reference / own | twin / same | twin / own |\n|" + " --- |" * 17
)


def row_of(case: Case, alpha: float, seed: int, reading: str, runs: list[Run]) -> str:
    """Return a row of the table."""
    cells = [case.kind, f"{case.m}", f"{alpha:g}", reading, f"{seed}"]
    cells += [f"{run.end(reading):.4f}" for run in runs] + [f"{run.seconds[-1]:.2f}" for run in runs]
    for base in runs[:2]:
        ratios = [base.seconds[-1] / run.reaches(reading, base.end(reading)) for run in runs[2:]]
        cells += [f"{ratio:.1f}" if ratio else "never" for ratio in ratios]
    return f"| {' | '.join(cells)} |"


def scaling() -> list[str]:
    """Return the table of the cost model a m^2 + b m: products and what is done to each row, fitted at both ends."""
    measured = {m: cost(m) for m in LARGE}
    (m, (few, _)), *_, (n, (many, _)) = measured.items()
    a, b = np.linalg.solve([[m**2, m], [n**2, n]], [few, many])
    lines = ["| m | s per iteration | model | peak GB |", "| --- | --- | --- | --- |"]
    lines += [f"| {m} | {s:.3f} | {a * m**2 + b * m:.3f} | {peak:.2f} |" for m, (s, peak) in measured.items()]
    print("\n".join(lines))
    return [*lines, "", f"Model: {a:.3g} m^2 + {b:.3g} m seconds at d = 512, fitted at the first size and the last."]


def draw(panels: list[tuple[str, str, list[Run]]], file: Path) -> None:
    """Draw J against CPU seconds, one panel a case."""
    figure = Figure(figsize=(10, 2.6 * -(-len(panels) // 2)), layout="constrained")
    axes = figure.subplots(-(-len(panels) // 2), 2, squeeze=False).ravel()
    for ax, (title, reading, runs) in zip(axes, panels, strict=False):
        for run in runs:
            ax.plot(run.seconds, [value[reading] for value in run.values], marker=".", label=run.name)
        ax.set(xscale="log", title=title, xlabel="CPU seconds", ylabel="J")
        ax.set_ylim(top=1.6 * max(run.end(reading) for run in runs))
        ax.legend(fontsize=7)
    with artifacts.output_file(file) as fresh:
        figure.savefig(fresh, dpi=120, metadata={"Software": None})
