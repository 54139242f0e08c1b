"""Run the packing solver, the paper's loop and its twin on one instance, by CPU seconds and exact J.

Instances: `clustered`, from `face_like` below, and `world`, wild people of the face world embedded by the committed
recogniser. Both methods are tuned in six trials on a tuning instance of the same kind and size: the solver at six sizes
of its step, the loop at three and with either reading's separation as what it descends. Of those the reading `closest`
takes the one that ends lowest, whichever it descended (the published loop of the closest pair hardly moves), and `mean`
the lowest of its own three; the solver's steps are the same for both. The loop's trials are the twin's, which takes the
same steps, and the solver's start where the loop's do. All then run on held-out seeds, in turn within one process, on
one thread; J is computed exactly, outside the clock.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import product

import numpy as np
import torch
from torch import Tensor

from stages.common import sphere
from stages.packing import reference
from stages.packing.objective import objective
from stages.packing.select import select
from stages.packing.solver import STEP, Solver, State
from stages.packing.start import random_rows
from stages.recognisers.embedded import load
from stages.settings.pack import Pack
from stages.world.album import portraits

READINGS = ("mean", "closest")
RATES = (0.003, 0.01, 0.03)  # of learning, for the loop
STEPS = (0.5, 0.6, STEP, 0.8, 0.9, 1.0)  # for the solver
TUNING_SEED = 900
CLUSTERS, SHARE, DECAY = 200, 0.3, 50.0
POINTS = 20  # of a curve of J
CFG = Pack(
    method="hyperface", identities=2, alpha=0.5, separation="mean", start="random", iterations=600, tolerance=2e-4,
    max_cosine=1, crowded_cosine=0.5, seed=0,
)  # fmt: skip

Choice = tuple[str, float]  # the reading that the loop descends, and its rate


@dataclass(frozen=True)
class Case:
    """What is compared: m identities from a gallery of n, each alpha on each held-out seed."""

    kind: str
    m: int
    n: int
    alphas: tuple[float, ...]
    seeds: tuple[int, ...]
    iterations: int = 1000  # of the loop


@dataclass
class Run:
    """What one method did: CPU seconds and exact scores at points of its course."""

    name: str
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
        done = (s for s, score in zip(self.seconds, self.scores, strict=True) if score[reading] <= goal)
        return next(done, float("inf"))


@dataclass(frozen=True)
class Comparison:
    """The runs of reference, twin, solver from the same rows and solver from its own, and what was chosen for them."""

    case: Case
    seed: int
    alpha: float
    reading: str
    loop: Choice
    step: float
    runs: list[Run]

    def ratios(self, base: int) -> list[float]:
        """Return the CPU seconds of runs[base], whole, over those of each solver until it is as low; 0: never."""
        goal = self.runs[base].end(self.reading)
        return [self.runs[base].seconds[-1] / run.reaches(self.reading, goal) for run in self.runs[2:]]


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
    """Return the exact J of both readings, the cosine of the closest pair and the gallery term."""
    found = objective(x.numpy(), x_ref, alpha, "mean")
    pair = float(found.nearest.max())
    return {
        "mean": found.value, "closest": pair + alpha * found.gallery_term, "pair": pair,
        "gallery_term": found.gallery_term,
    }  # fmt: skip


def loop(which: str, choice: Choice, x_ref: np.ndarray, row: np.ndarray, alpha: float, iterations: int) -> Run:
    """Run the reference or its twin from gallery rows `row`."""
    run, ref = Run(which), torch.from_numpy(x_ref)
    clock = Clock()

    def each(step: int, x: Tensor) -> None:
        if step % max(iterations // POINTS, 1) == 0:
            run.seconds.append(clock.seconds())
            clock.paused(lambda: run.scores.append(scores(x, x_ref, alpha)))

    method = reference.reference if which == "reference" else reference.twin
    method(ref[torch.from_numpy(row)], ref, alpha, choice[0], iterations, choice[1], each)
    return run


@torch.inference_mode()
def solver(step: float, x_ref: np.ndarray, row: np.ndarray | None, alpha: float, seed: int, m: int) -> Run:
    """Run the solver from gallery rows `row`, or from those that it selects, which then counts."""
    run = Run("solver" if row is not None else "solver, own start")
    clock, cfg = Clock(), replace(CFG, alpha=alpha, seed=seed)
    row = select(x_ref, m, seed) if row is None else row
    ref = torch.from_numpy(x_ref)
    problem = Solver(ref, torch.from_numpy(row), cfg, step)

    def each(state: State) -> None:
        seconds, shown = clock.seconds(), state.best if state.step % 25 == 0 else None
        if shown is not None:
            run.seconds.append(seconds)
            clock.paused(lambda: run.scores.append(scores(shown, x_ref, alpha)))

    problem.run(problem.begin(ref[torch.from_numpy(row)]), each)
    return run


def chosen(case: Case) -> dict[tuple[float, str], tuple[Choice, float]]:
    """Return, for each alpha and reading, with what the loop and the solver end lowest on the tuning instance."""
    x_ref, row = instance(case, TUNING_SEED), random_rows(case.n, case.m, TUNING_SEED)
    found = {}
    for alpha in case.alphas:
        loops = {
            choice: loop("twin", choice, x_ref, row, alpha, case.iterations) for choice in product(READINGS, RATES)
        }
        solvers = {step: solver(step, x_ref, row, alpha, TUNING_SEED, case.m) for step in STEPS}
        for reading in READINGS:
            allowed = [choice for choice in loops if reading == "closest" or choice[0] == "mean"]
            found[alpha, reading] = (
                min(allowed, key=lambda choice: loops[choice].end(reading)),
                min(STEPS, key=lambda step: solvers[step].end(reading)),
            )
    return found


def compare(case: Case) -> Iterator[Comparison]:
    """Yield every comparison of a case, all alphas of a seed before the next seed."""
    best = chosen(case)
    for seed in case.seeds:
        x_ref, row = instance(case, seed), random_rows(case.n, case.m, seed)
        for alpha in case.alphas:
            loops: dict[Choice, list[Run]] = {}
            for reading in READINGS:
                by_loop, step = best[alpha, reading]
                if by_loop not in loops:  # one loop often serves both readings
                    loops[by_loop] = [
                        loop(which, by_loop, x_ref, row, alpha, case.iterations) for which in ("reference", "twin")
                    ]
                own = [solver(step, x_ref, start, alpha, seed, case.m) for start in (row, None)]
                yield Comparison(case, seed, alpha, reading, by_loop, step, [*loops[by_loop], *own])
