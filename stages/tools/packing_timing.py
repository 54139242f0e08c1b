"""Set the packing solver against the paper's loop: J and CPU seconds, on instances that neither was tuned on.

`stages.tools.packing_runs` says what runs and how both are tuned. The front shows what alpha trades: the cosine of the
closest pair against the distance to the gallery. Where asked to, files are written anew after every comparison, so that
a run which is stopped leaves what it has measured.

writes  reports/timing/pack.md    the tables
        reports/timing/pack.png   J against CPU seconds, first seed of each case
        reports/timing/front.png  closest pair against distance to the gallery as alpha grows, mean over the seeds
"""

import resource
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from stages.common import artifacts
from stages.packing.solver import Solver, State
from stages.tools.packing_runs import CFG, RATES, STEPS, TUNING_SEED, Case, Comparison, compare, face_like

FOLDER = Path("reports/timing")
LARGE = (3_000, 10_000, 30_000, 100_000)  # identities of the cost model
SHORT = [Case("clustered", 300, 1200, (0.125, 0.25, 0.5, 1.0, 2.0), (1,)), Case("world", 150, 600, (0.5,), (1,))]
FULL = [
    Case("clustered", 1000, 4000, (0.25, 0.5, 1.0), (1, 2, 3, 4, 5)),
    Case("world", 420, 1500, (0.5,), (1, 2, 3)),
    Case("clustered", 3000, 12_000, (0.5,), (1,)),
]
FRONTS = {"reference": 0, "same": 2, "own": 3}  # places of the runs that the front shows
INTRODUCTION = f"""# Packing: the solver against the published loop

Written by `python -m stages.tools.timing pack`, which says how. CPU seconds of one thread. `reference` is Adam by
autograd in float32, `twin` the same steps by analytic gradient and bfloat16 products; both run from random gallery
rows. `same` is the solver from the same rows, `own` from those that it selects. Loop and solver were tuned in
{2 * len(RATES)} and {len(STEPS)} trials on other instances. The ratios are CPU seconds of the loop, whole, over
those of the solver until its exact J is at most the loop's; 0 where it never is.
"""
ROW = ["instance", "m", "alpha", "reading"]
RUNS = ["reference", "twin", "same", "own"]
RATIOS = [f"{base} / {run}" for base in RUNS[:2] for run in RUNS[2:]]


def main(full: bool, seeds: Sequence[int] = (), save: bool = False) -> None:
    """Compare on every case, print the rows and `save` tables and figures; `full` takes the large sizes.

    `seeds` stand in for the held-out ones, as many as a case has. Raises ValueError where one is the tuning instance's.
    """
    if TUNING_SEED in seeds:
        raise ValueError(f"--seeds {TUNING_SEED}: the instance that both are tuned on; allowed: any other")
    torch.set_num_threads(1)
    costs = scaling() if full else []
    done: list[Comparison] = []
    for case in FULL if full else SHORT:
        for one in compare(replace(case, seeds=tuple(seeds or case.seeds)[: len(case.seeds)])):
            done.append(one)
            print(_line(_row(one)), flush=True)
            if save:
                write(done, costs)


def write(done: list[Comparison], costs: list[str]) -> None:
    """Write the tables and the figures of the comparisons so far."""
    blocks = [INTRODUCTION, "## Every comparison\n", *_table([*ROW, "seed", *_columns()], map(_row, done)), ""]
    blocks += ["## Over the seeds, least and most\n", *_table([*ROW, "seeds", *RATIOS], _ranges(done)), ""]
    blocks += ["## Chosen on the tuning instance\n", *_table([*ROW, *CHOSEN], _choices(done)), ""]
    fronts = [[*key[:2], *_cells(point)] for key, points in front(done).items() for point in points]
    if fronts:
        blocks += ["## The front, reading `closest`, mean over the seeds\n", *_table(FRONT, fronts), ""]
        draw_front(done, FOLDER / "front.png")
    with artifacts.output_file(FOLDER / "pack.md") as fresh:
        fresh.write_text("\n".join([*blocks, *costs]).rstrip() + "\n")
    draw(done, FOLDER / "pack.png")


CHOSEN = ["loop descends", "its rate", "solver's step"]
FRONT = ["instance", "m", "alpha", *(f"{what} {run}" for what in ("closest pair", "gallery term") for run in FRONTS)]


def _columns() -> list[str]:
    return [*(f"J {run}" for run in RUNS), *(f"s {run}" for run in RUNS), *RATIOS]


def _key(one: Comparison) -> tuple[str, ...]:
    return (one.case.kind, f"{one.case.m}", f"{one.alpha:g}", one.reading)


def _row(one: Comparison) -> list[str]:
    cells = [*_key(one), f"{one.seed}", *(f"{run.end(one.reading):.4f}" for run in one.runs)]
    cells += [f"{run.seconds[-1]:.2f}" for run in one.runs]
    return cells + [f"{ratio:.1f}" for base in (0, 1) for ratio in one.ratios(base)]


def _ranges(done: list[Comparison]) -> Iterator[list[str]]:
    for key in dict.fromkeys(map(_key, done)):
        alike = [one for one in done if _key(one) == key]
        ratios = np.array([[*one.ratios(0), *one.ratios(1)] for one in alike])  # (seeds, 4)
        spans = zip(ratios.min(0), ratios.max(0), strict=True)
        yield [*key, f"{len(alike)}", *(f"{least:.1f} to {most:.1f}" for least, most in spans)]


def _choices(done: list[Comparison]) -> Iterator[list[str]]:
    for key, one in {_key(one): one for one in done}.items():
        yield [*key, one.loop[0], f"{one.loop[1]:g}", f"{one.step:g}"]


def front(done: list[Comparison]) -> dict[tuple[str, str], list[tuple[float, np.ndarray]]]:
    """Return, for each instance and m with several alphas, alpha and (2, 3): pair and gallery term of FRONTS' runs."""
    found: dict[tuple[str, str], dict[float, list[np.ndarray]]] = {}
    for one in done:
        if one.reading == "closest" and len(one.case.alphas) > 1:
            ends = [one.runs[place].best("closest") for place in FRONTS.values()]
            point = np.array([[end[what] for end in ends] for what in ("pair", "gallery_term")])
            found.setdefault((one.case.kind, f"{one.case.m}"), {}).setdefault(one.alpha, []).append(point)
    return {key: [(a, np.mean(points, 0)) for a, points in by_alpha.items()] for key, by_alpha in found.items()}


def _cells(point: tuple[float, np.ndarray]) -> list[str]:
    return [f"{point[0]:g}", *(f"{value:.4f}" for value in point[1].ravel())]


def _table(header: list[str], rows: Iterator[list[str]] | list[list[str]]) -> list[str]:
    return [_line(header), "|" + " --- |" * len(header), *map(_line, rows)]


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def cost(m: int, d: int = 512, iterations: int = 3) -> tuple[float, float, float]:
    """Return CPU seconds per iteration of the solver at m identities, early and late, and the peak memory in GB.

    Late iterations are the precise ones, the last two fifths of a run; the peak is the process's so far.
    """
    x_ref = torch.from_numpy(face_like(m, d, 1))
    problem = Solver(x_ref, torch.arange(m), CFG)
    own, seconds = x_ref.clone(), []
    state = State(own, torch.zeros_like(own), torch.ones(m, 1), own, np.inf, 0.2)
    for begin in (0, problem.anneal):
        state.step = begin  # every REFRESH-th iteration does more
        problem.advance(state)
        before = time.process_time()
        for _ in range(iterations):
            problem.advance(state)
        seconds.append((time.process_time() - before) / iterations)
    early, late = seconds
    return early, late, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def scaling() -> list[str]:
    """Return the table of the cost model a m^2 + b m: products and what is done to each row, fitted at both ends."""
    measured = np.array([cost(m) for m in LARGE])  # ascending, before all else: the peak is then this size's
    size = np.array(LARGE, float)
    ends = np.array([[m**2, m] for m in size[[0, -1]]])
    a, b = np.linalg.solve(ends, measured[[0, -1], :2])  # each (2,), early and late
    modelled = np.outer(size**2, a) + np.outer(size, b)
    rows = [
        [f"{m}", *(f"{value:.3f}" for pair in zip(seconds, model, strict=True) for value in pair), f"{peak:.2f}"]
        for m, (*seconds, peak), model in zip(LARGE, measured, modelled, strict=True)
    ]
    header = ["m", "early, s per iteration", "model", "late, s per iteration", "model", "peak GB"]
    lines = ["## Cost of an iteration\n", *_table(header, rows), ""]
    lines.append("Models at d = 512, fitted at the first size and the last:\n")
    for name, square, linear in zip(("early", "late"), a, b, strict=True):
        lines.append(f"- {name}: {square:.3g} m^2 + {linear:.3g} m seconds")
    print("\n".join(lines), flush=True)
    return lines


def draw(done: list[Comparison], file: Path) -> None:
    """Draw J against CPU seconds, one panel for each alpha and reading of a case's first seed."""
    first = [one for one in done if one.seed == one.case.seeds[0]]
    figure = Figure(figsize=(10, 2.6 * -(-len(first) // 2)), layout="constrained")
    axes = figure.subplots(-(-len(first) // 2), 2, squeeze=False).ravel()
    for ax, one in zip(axes, first, strict=False):
        for run in one.runs:
            ax.plot(run.seconds, [score[one.reading] for score in run.scores], marker=".", label=run.name)
        title = f"{one.case.kind}, m = {one.case.m}, alpha = {one.alpha:g}, {one.reading}"
        ax.set(xscale="log", title=title, xlabel="CPU seconds", ylabel="J")
        ax.set_ylim(top=1.6 * max(run.end(one.reading) for run in one.runs))
        ax.legend(fontsize=7)
    for ax in axes[len(first) :]:
        ax.remove()
    _save(figure, file)


def draw_front(done: list[Comparison], file: Path) -> None:
    """Draw the closest pair's cosine against the distance to the gallery, a point an alpha, a line a method."""
    fronts = front(done)
    figure = Figure(figsize=(5.2 * len(fronts), 3.8), layout="constrained")
    axes = figure.subplots(1, len(fronts), squeeze=False).ravel()
    names = ("reference", "solver", "solver, own start")
    for ax, ((kind, m), points) in zip(axes, fronts.items(), strict=True):
        pair, distance = np.stack([values for _, values in points], 1)  # each (alphas, runs)
        for name, x, y in zip(names, distance.T, pair.T, strict=True):
            ax.plot(x, y, marker="o", label=name)
            for (alpha, _), *at in zip(points, x, y, strict=True):
                ax.annotate(f"{alpha:g}", tuple(at), (4, 4), textcoords="offset points", fontsize=7)
        ax.set(title=f"{kind}, m = {m}; numbers: alpha", xlabel="mean distance to the gallery, 1 - cosine")
        ax.set_ylabel("cosine of the closest pair")
        ax.legend(fontsize=7)
    _save(figure, file)


def _save(figure: Figure, file: Path) -> None:
    with artifacts.output_file(file) as fresh:
        figure.savefig(fresh, dpi=120, metadata={"Software": None})
