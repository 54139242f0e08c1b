"""Measure speed, and what statistics promise: `python -m stages.tools.timing SUBJECT`.

world       faces that the face world photographs, and differentiates, per second
generator   seconds that the embedded generator takes to find the person behind a row
generate    published generators beside their own scripts, on random weights of `--size tiny`, `small` or `full`
train       the loaders of `train`, arcface_torch and AdaFace, and the training's loop beside ready tensors
pack        J against CPU seconds and the front over alpha, of the packing solver and the paper's loop: minutes, with
            `--full` hours
scale       CPU seconds and memory of every stage at `--sizes`, how both grow, and what the profiles cost: an hour
statistics  how often intervals cover the truth, and verdicts are wrong, on planted scores: minutes

It prints tables; with `--write`, those of all but `world` and `generator` go to reports/timing. `generator_timing`,
`loop_timing`, `packing_cells`, `packing_runs`, `scale_stages` and `statistics_timing` beside this file say how they are
measured. Other seconds are the best of several runs, as other work on the machine only slows them down; for the same
reason no test looks at them.
"""

import argparse
import multiprocessing
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from stages.common import devices, params, sphere
from stages.common.world import World
from stages.generators import embedded
from stages.settings.generate import Generate
from stages.tools import (
    command,
    generator_timing,
    loop_timing,
    packing_timing,
    scale_timing,
    standin,
    statistics_timing,
)
from stages.world import identity, render, style
from stages.world.album import portraits

SUBJECTS = ("world", "generator", "generate", "train", "pack", "scale", "statistics")
SIZES_PX = (32, 64, 112)
IMAGES, IMAGES_ON_ACCELERATOR = 64, 1024  # per run
RUNS = 8
BACKWARD_IMAGES = 8
CPU = torch.device("cpu")
ROWS, REPEATS = 20, 3  # rows that the generator refines at once, as in its stage


def _wild(count: int) -> tuple[Tensor, Tensor, np.ndarray]:
    seeds = np.arange(count)
    return identity.sample("timing", 0, range(count)), style.sample(seeds, "wild", 0.5), seeds


def _best(work: Callable[[], object], runs: int) -> float:
    """Return the seconds of the fastest of `runs` runs."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def photograph_rate(size_px: int, device: torch.device = CPU) -> float:
    """Return photographs per second of one process on one thread, rendered on `device`."""
    torch.set_num_threads(1)
    count = IMAGES if device == CPU else IMAGES_ON_ACCELERATOR
    z, styles, seeds = _wild(count)
    z, styles = z.to(device), styles.to(device)
    render.photograph(z[:1], styles[:1], seeds[:1], "wild", size_px)  # fills the caches
    return count / _best(lambda: render.photograph(z, styles, seeds, "wild", size_px), RUNS)


def backward_ms(size_px: int) -> float:
    """Return milliseconds per image of rendering and differentiating by the identity, on one thread."""
    torch.set_num_threads(1)
    z, styles, _ = _wild(BACKWARD_IMAGES)
    z.requires_grad_()

    def step() -> None:
        torch.autograd.grad(render.render(z, styles, "wild", size_px).square().sum(), z)

    return 1e3 * _best(step, RUNS) / BACKWARD_IMAGES


def world() -> None:
    """Print how fast faces are photographed and differentiated, on one core, on all, and on an accelerator."""
    cores = len(os.sched_getaffinity(0))
    print(f"face world, wild, spread 0.5; {cores} cores, one thread per process\n")
    print(f"{'size':>6} {'images/s, one core':>20} {f'{cores} processes':>13} {'accelerator':>12} {'gradient, ms':>13}")
    with ProcessPoolExecutor(cores, multiprocessing.get_context("spawn")) as pool:
        for size_px in SIZES_PX:
            alone = pool.submit(photograph_rate, size_px).result()
            together = sum(pool.map(photograph_rate, [size_px] * cores))
            own = devices.device()
            cuda = f"{photograph_rate(size_px, own):.0f}" if own != CPU else "none"
            gradient = pool.submit(backward_ms, size_px).result()
            print(f"{size_px:>3} px {alone:>20.0f} {together:>13.0f} {cuda:>12} {gradient:>13.1f}")


def generator() -> None:
    """Print what it costs to find the person behind a row, and to draw that person once."""
    torch.set_num_threads(1)
    world_cfg, cfg = params.load("world", World), params.load("generate", Generate)
    drawer = embedded.load(cfg, world_cfg)
    album = portraits("timing", 0, ROWS, 1, "studio", world_cfg.spread.studio)
    x = sphere.unit_rows(drawer.recogniser.embed(album.faces(slice(None), drawer.recogniser.size_px)))
    seeds = np.arange(ROWS)
    norms = np.ones(ROWS)
    condition = drawer.condition(x, norms, seeds)
    refine = _best(lambda: drawer.condition(x, norms, seeds), REPEATS) / ROWS
    draw = _best(lambda: drawer.generate(condition, seeds), REPEATS) / ROWS
    print(f"embedded generator, one thread, {ROWS} rows at once: seconds per identity\n")
    print(f"{'refine_steps':>12} {'invert and refine':>18} {f'draw at {drawer.size_px} px':>15}")
    print(f"{cfg.refine_steps:>12} {refine:>18.3f} {draw:>15.4f}")


def main(arguments: list[str]) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser("python -m stages.tools.timing", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("subject", choices=SUBJECTS)
    parser.add_argument("--full", action="store_true", help="pack only: all sizes and cells")
    parser.add_argument("--seeds", type=int, nargs="+", default=(), help="pack only: instead of the held-out seeds")
    parser.add_argument(
        "--cells", nargs="+", default=(), help="pack only: their places, e.g. 0-11 20, or `cost`, `large`"
    )
    parser.add_argument("--without", choices=["reference", "solver"], help="pack only: what not to run")
    parser.add_argument("--folder", type=Path, help="pack, scale: for results, instead of .scratch/timing")
    parser.add_argument("--sizes", type=int, nargs="+", default=scale_timing.SIZES, help="scale only: of images")
    parser.add_argument(
        "--backends", nargs="+", default=[], choices=list(generator_timing.CONTESTS), help="generate only"
    )
    parser.add_argument(
        "--size", choices=list(standin.SIZES), default="small", help="generate only: the size of the weights"
    )
    parser.add_argument("--images", type=int, default=8, help="generate only: how many, a multiple of 4")
    parser.add_argument("--steps", type=int, default=25, help="generate only: steps of diffusion")
    parser.add_argument("--runs", type=int, default=5, help="generate only: how many; the best counts")
    parser.add_argument("--seed", type=int, default=1, help="statistics only: of what is drawn")
    parser.add_argument("--repetitions", type=int, default=1000, help="statistics only: draws of each setting")
    parser.add_argument("--write", action="store_true", help="not world and generator: write to reports/timing, too")
    args = parser.parse_args(arguments)
    generate = partial(generator_timing.main, args.backends, args.size, args.images, args.steps, args.runs, args.write)
    train = partial(loop_timing.main, args.write)
    pack = partial(packing_timing.main, args.full, args.seeds, args.write, args.cells, args.without, args.folder)
    statistics = partial(statistics_timing.main, args.seed, args.repetitions, args.write)
    subjects = {"world": world, "generator": generator, "generate": generate, "pack": pack, "train": train}
    scale = partial(scale_timing.main, args.sizes, args.write, args.folder)
    (subjects | {"scale": scale, "statistics": statistics})[args.subject]()


if __name__ == "__main__":
    command.run(main)
