"""Time a training beside the same network on ready tensors: what is lost is what data and checkpoints cost.

reads    nothing; the faces are rendered
writes   reports/timing/train.md   the tables of loaders and loops, with --write
"""

import os
import platform
import time
from collections.abc import Iterator
from itertools import repeat
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import cv2
import torch

from stages.common import artifacts, devices, images, params
from stages.reporting import markdown
from stages.tools import train_timing
from stages.training.batches import Batch, batches
from stages.training.learner import Learner
from stages.training.samples import read
from stages.training.settings import Train

FILE = Path("reports/timing/train.md")
SIDE_PX = 112
TURNS = 5  # of the loop and of ready tensors, each after the other
R18 = {"backbone": "iresnet", "levels": {"widths": [64, 128, 256, 512], "blocks": [2, 2, 2, 2]}}
DEEPER = {
    name: {**R18, "levels": {"widths": [64, 128, 256, 512], "blocks": blocks}}
    for name, blocks in {"r50": [3, 4, 14, 3], "r100": [3, 13, 30, 3]}.items()
}
LARGE: dict[str, Any] = {
    "embedding_size": 512, "input": {"size_px": SIDE_PX, "colour": "rgb"}, "decorrelation": 0,
    "loader": {"memory": 0, "workers": 1, "unreadable": "refuse", "psi": "sample"},
    "head": {"name": "arcface", "scale": 64, "margin": 0.5, "warm_up": 0, "options": {}},
}  # fmt: skip


class Case(NamedTuple):
    """A training to be timed: its name, what it changes in params.yaml, a global batch, and the steps of a turn."""

    name: str
    changes: dict[str, Any]
    batch: int
    steps: int
    workers: int


def cases() -> list[Case]:
    """Return what is timed on the device that is there."""
    cores = len(os.sched_getaffinity(0))
    if devices.device().type == "cuda":
        workers = max(1, cores - 1)
        return [Case(name, {**LARGE, **net}, 256, 20, workers) for name, net in DEEPER.items()]
    return [Case("params.yaml", {}, 60, 20, 0), Case("r18", {**LARGE, **R18}, 16, 2, 1)]


def rates(case: Case, manifest: Path) -> tuple[float, float]:
    """Return images/s of the loop and of ready tensors: the best of some turns, one of each in turn."""
    section = params.read()["train"] | case.changes | {"batch": case.batch}
    cfg = params.check("train", section, Train)
    samples = read(manifest, manifest.parent, cfg.input.size_px, cfg.input.colour, cfg.loader.memory)
    learner = Learner(samples.classes, cfg, 0)
    steps = 2 + case.steps * TURNS
    stream = batches(samples, steps, case.batch, 0, part=learner.positions, augment=cfg.augment, workers=case.workers)
    ready = next(stream)
    _learn(learner, stream, 1)  # warms up
    pairs = [(_learn(learner, stream, case.steps), _learn(learner, repeat(ready), case.steps)) for _ in range(TURNS)]
    loop_s, ready_s = (min(seconds) for seconds in zip(*pairs, strict=True))
    return case.steps * case.batch / loop_s, case.steps * case.batch / ready_s


def _learn(learner: Learner, source: Iterator[Batch], steps: int) -> float:
    """Return the seconds of so many steps; each reads the loss, which waits for a GPU."""
    start = time.perf_counter()
    for _ in range(steps):
        learner.learn(next(source), learner.cfg.head.margin, learner.cfg.learning_rate)
    return time.perf_counter() - start


def measured(folder: Path) -> tuple[dict[str, float], list[list[str]]]:
    """Return the loaders' images/s by name, and the rows of the table of loops."""
    faces = train_timing.drawn()
    loaders = train_timing.loaders(folder, faces)
    speeds = {name: train_timing.rate(loader) for name, loader in loaders.items()}
    rows = []
    for case in cases():
        loop, ready = rates(case, folder / "manifest.arrow")
        numbers = [f"{loop:,.4g}", f"{ready:,.4g}", f"{loop / ready:.3f}"]
        rows.append([case.name, str(case.batch), str(torch.get_num_threads()), str(case.workers), *numbers])
    return speeds, rows


def main(write: bool) -> None:
    """Print the tables of loaders and loops; `write` them as well."""
    cv2.setNumThreads(0)
    with TemporaryDirectory() as folder:
        torch.set_num_threads(1)
        speeds, rows = measured(Path(folder))
    text = page(speeds, rows)
    print(text)
    if write:
        with artifacts.output_file(FILE) as fresh:
            fresh.write_text(text)


def page(speeds: dict[str, float], rows: list[list[str]]) -> str:
    """Return both tables, and on what they were measured."""
    kind = torch.cuda.get_device_name() if devices.device().type == "cuda" else f"CPU, {platform.machine()}"
    loaders = markdown.table(["loader", "images/s"], [[name, f"{speed:,.0f}"] for name, speed in speeds.items()], 1)
    header = ["network", "batch", "threads", "workers", "loop, images/s", "ready tensors, images/s", "ratio"]
    return f"""# Training: loaders and loop

Written by `python -m stages.tools.timing train`, on {kind}. Faces of {train_timing.SIZE_PX} px, JPEG quality
{images.JPEG_QUALITY}, {train_timing.COUNT:,} of them. Loaders: images per second of CPU time, on one core, without a
network; the others' are rebuilt by their description (stages/tools/train_timing.py). Loop: the training itself, from
the shards, or of params.yaml from memory; ready tensors: the same steps on one batch that is there. Best of {TURNS}
turns, one of each in turn.

{loaders}

{markdown.table(header, rows, 1)}
"""
