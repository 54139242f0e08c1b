"""Time our generators beside the published scripts on the same weights, in seconds per image.

The weights are random and written by `stages.tools.standin` in the size that `--size` names, so anyone can run this;
time does not depend on their values. Both ways run in turn in one process, and the best of `--runs` counts, as other
work on the machine only slows them down. A backend is a module in CONTESTS that yields a contest for each row.

writes   reports/timing/generate.md   the table, with --write; other devices and sizes add rows of their own
"""

import platform
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import torch

from stages.common import artifacts, devices, params
from stages.reporting import markdown

FILE = Path("reports/timing/generate.md")
CONTESTS = {  # modules with `contests(folder, size, images, steps)`
    "arc2face": "stages.tools.arc2face_timing",
    "vec2face": "stages.tools.vec2face_timing",
}
INTRODUCTION = """# Generators: ours against the published scripts' way of running

Written by `python -m stages.tools.timing generate`, which says how. Seconds an image, of CPU time on one thread or of a
GPU, the best of a few runs in turn, on random weights. The largest difference is that of the two ways' pictures of the
same row and seed, in grey levels.

"""
COLUMNS = [
    "backend",
    "size",
    "images",
    "device",
    "threads",
    "theirs, s",
    "ours, s",
    "ratio",
    "largest difference",
    "note",
]


@dataclass(frozen=True)
class Contest:
    """Two ways to draw the same images; `difference` compares their pictures, off the clock."""

    backend: str
    size: str
    images: str  # how many, and how many of each identity or in each call
    count: int
    ours: Callable[[], object]
    theirs: Callable[[], object]
    difference: Callable[[], str]
    note: str


def seconds(work: Callable[[], object]) -> float:
    """Return the CPU seconds of some work on one thread or, on a GPU, the seconds until the GPU has done it."""
    if devices.device().type == "cpu":
        start = time.process_time()
        work()
        return time.process_time() - start
    torch.cuda.synchronize(devices.device())
    start = time.perf_counter()
    work()
    torch.cuda.synchronize(devices.device())
    return time.perf_counter() - start


def row_of(contest: Contest, runs: int) -> list[str]:
    """Run a contest and return its row."""
    difference = contest.difference()  # this warms up, too
    times = [(seconds(contest.theirs), seconds(contest.ours)) for _ in range(runs)]
    theirs, ours = (min(column) / contest.count for column in zip(*times, strict=True))
    device = devices.device()
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {platform.machine()}"
    return [contest.backend, contest.size, contest.images, name, f"{torch.get_num_threads()}", f"{theirs:.3g}",
            f"{ours:.3g}", f"{theirs / ours:.2f}", difference, contest.note]  # fmt: skip


def contests(backends: list[str], size: str, images: int, steps: int) -> Iterator[Contest]:
    """Yield the contests of each backend, while its weights are in a temporary folder."""
    for backend in backends:
        with tempfile.TemporaryDirectory(prefix=artifacts.TEMPORARY, dir=params.DATA) as folder:
            yield from import_module(CONTESTS[backend]).contests(Path(folder) / backend, size, images, steps)


def updated(rows: list[list[str]]) -> str:
    """Return the file's text with new rows; a row replaces that of its backend, size, images, device and threads."""
    old_rows = (
        [re.split(r" \| ", line.strip("| \n")) for line in FILE.read_text().splitlines()[8:]] if FILE.exists() else []
    )
    by_key = {tuple(row[:5]): row for row in [*old_rows, *rows]}
    return f"{INTRODUCTION}{markdown.table(COLUMNS, sorted(by_key.values()))}\n"


def main(backends: list[str], size: str, images: int, steps: int, runs: int, write: bool) -> None:
    """Time the backends and print their rows; `write` the table as well."""
    torch.set_num_threads(1)
    rows = []
    for contest in contests(backends or list(CONTESTS), size, images, steps):
        rows.append(row_of(contest, runs))
        print(" | ".join(rows[-1]), flush=True)
    if write:
        with artifacts.output_file(FILE) as fresh:
            fresh.write_text(updated(rows))
