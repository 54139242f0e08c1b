"""Set generators against the published scripts' way of running the same weights: seconds an image, side by side.

Weights are random and made here (`stages.tools.standin`), of a size that `--size` names, so that anyone can run it;
time does not depend on their values. Both ways run in turn within one process and the best of `--runs` counts, since a
shared machine only ever makes it worse. A backend is a module in CONTESTS that yields a contest for each row.

writes   reports/timing/generate.md   the table, where asked to; runs on other devices or of other sizes add their rows
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
    """Two ways to draw the same images; `difference` compares their pictures, outside the clock."""

    backend: str
    size: str
    images: str  # how many and of whom
    count: int
    ours: Callable[[], object]
    theirs: Callable[[], object]
    difference: Callable[[], str]
    note: str


def seconds(work: Callable[[], object]) -> float:
    """Return the CPU seconds of a piece of work on one thread or, on a GPU, the seconds until it is done there."""
    if devices.device().type == "cpu":
        start = time.process_time()
        work()
        return time.process_time() - start
    torch.cuda.synchronize(devices.device())
    start = time.perf_counter()
    work()
    torch.cuda.synchronize(devices.device())
    return time.perf_counter() - start


def measured(contest: Contest, runs: int) -> list[str]:
    """Return the row of a contest."""
    difference = contest.difference()  # warms up, too
    times = [(seconds(contest.theirs), seconds(contest.ours)) for _ in range(runs)]
    theirs, ours = (min(column) / contest.count for column in zip(*times, strict=True))
    on = devices.device()
    device = torch.cuda.get_device_name(on) if on.type == "cuda" else f"CPU, {platform.machine()}"
    return [contest.backend, contest.size, contest.images, device, f"{torch.get_num_threads()}", f"{theirs:.3g}",
            f"{ours:.3g}", f"{theirs / ours:.2f}", difference, contest.note]  # fmt: skip


def contests(backends: list[str], size: str, images: int, steps: int) -> Iterator[Contest]:
    """Yield the contests of each backend, whose weights lie in a temporary folder meanwhile."""
    for backend in backends:
        with tempfile.TemporaryDirectory(prefix=artifacts.TEMPORARY, dir=params.DATA) as folder:
            yield from import_module(CONTESTS[backend]).contests(Path(folder) / backend, size, images, steps)


def written(rows: list[list[str]]) -> str:
    """Return the table with these rows in place of those that measured the same."""
    known = (
        [re.split(r" \| ", line.strip("| \n")) for line in FILE.read_text().splitlines()[8:]] if FILE.exists() else []
    )
    kept = {tuple(row[:5]): row for row in [*known, *rows]}
    return f"{INTRODUCTION}{markdown.table(COLUMNS, sorted(kept.values()))}\n"


def main(backends: list[str], size: str, images: int, steps: int, runs: int, write: bool) -> None:
    """Measure and print; `write` the table as well."""
    torch.set_num_threads(1)
    rows = []
    for contest in contests(backends or list(CONTESTS), size, images, steps):
        rows.append(measured(contest, runs))
        print(" | ".join(rows[-1]), flush=True)
    if write:
        with artifacts.output_file(FILE) as fresh:
            fresh.write_text(written(rows))
