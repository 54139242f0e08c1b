"""Measure speed: `python -m stages.tools.timing world`, `generator`, `generate` or `pack`.

world       faces photographed and differentiated a second
generator   seconds that the embedded generator takes to find the person behind a row
generate    published generators beside their own scripts, on random weights of `--size tiny`, `small` or `full`
pack        J against CPU seconds and the front over alpha, the packing solver and the paper's loop: minutes, with
            `--full` hours

Prints tables; with `--write`, `generate` and `pack` write theirs to reports/timing. They say in
`stages.tools.generator_timing`, `packing_cells` and `packing_runs` how they measure. The other figures are the best of
several runs, since a shared machine only ever makes them worse, and are kept out of the tests for the same reason.
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
from stages.generators import embedded
from stages.settings.generate import Generate
from stages.settings.world import World
from stages.tools import command, generator_timing, packing_timing, standin
from stages.world import identity, render, style
from stages.world.album import portraits

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
    """Return the fewest seconds that one of so many runs took."""
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
    made = embedded.load(cfg, world_cfg)
    album = portraits("timing", 0, ROWS, 1, "studio", world_cfg.studio_spread)
    x = sphere.unit_rows(made.recogniser.embed(album.faces(slice(None), made.recogniser.size_px)))
    seeds = np.arange(ROWS)
    norms = np.ones(ROWS)
    condition = made.condition(x, norms, seeds)
    found = _best(lambda: made.condition(x, norms, seeds), REPEATS) / ROWS
    drawn = _best(lambda: made.generate(condition, seeds), REPEATS) / ROWS
    print(f"embedded generator, one thread, {ROWS} rows at once: seconds per identity\n")
    print(f"{'refine_steps':>12} {'invert and refine':>18} {f'draw at {made.size_px} px':>15}")
    print(f"{cfg.refine_steps:>12} {found:>18.3f} {drawn:>15.4f}")


def main(arguments: list[str]) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser("python -m stages.tools.timing", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("what", choices=["world", "generator", "generate", "pack"])
    parser.add_argument("--full", action="store_true", help="pack only: all sizes and cells")
    parser.add_argument("--seeds", type=int, nargs="+", default=(), help="pack only: held-out seeds to take instead")
    parser.add_argument("--cells", nargs="+", default=(), help="pack only: which, as 0-11 20, and `cost`, `large`")
    parser.add_argument("--without", choices=["reference", "solver"], help="pack only: does not run it")
    parser.add_argument("--folder", type=Path, help="pack only: of what has run, instead of .scratch/timing")
    parser.add_argument(
        "--backends", nargs="+", default=[], choices=list(generator_timing.CONTESTS), help="generate only"
    )
    parser.add_argument("--size", choices=list(standin.SIZES), default="small", help="generate only: of the weights")
    parser.add_argument("--images", type=int, default=8, help="generate only: drawn by each way, a multiple of 4")
    parser.add_argument("--steps", type=int, default=25, help="generate only: of diffusion")
    parser.add_argument("--runs", type=int, default=5, help="generate only: of which the best counts")
    parser.add_argument("--write", action="store_true", help="generate and pack: into reports/timing as well")
    given = parser.parse_args(arguments)
    generate = partial(
        generator_timing.main, given.backends, given.size, given.images, given.steps, given.runs, given.write
    )
    pack = partial(packing_timing.main, given.full, given.seeds, given.write, given.cells, given.without, given.folder)
    {"world": world, "generator": generator, "generate": generate, "pack": pack}[given.what]()


if __name__ == "__main__":
    command.run(main)
