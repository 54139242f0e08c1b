"""Run every stage at several sizes: CPU seconds, memory, how both grow, and from it what the profiles cost.

`stages.tools.scale_stages` says what runs. Each stage is a process of its own on one core; its memory is the most that
it held beside the pages of files, which the system takes back when it needs them. What was measured is kept in a
scratch folder, so that a run that was stopped goes on; remove it after a change of the stages.

writes  reports/timing/scale.md  the tables, with --write
"""

import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stages.common import artifacts, params, parents, pipeline, scratch
from stages.common.errors import InputError
from stages.reporting import markdown
from stages.tools import profile, scale_stages
from stages.tools.scale_stages import COST, DEPTH, PAIRED, STEPS, prepare

FILE = Path("reports/timing/scale.md")
SIZES = (20_000, 80_000, 320_000)
LOOK_S = 0.02  # between two looks at a process's memory
MB, GB, HOUR = 1e6, 1e9, 3600
ONE_THREAD = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(pipeline.ROOT)}
LARGEST = {"benchmarks": PAIRED, "evaluate": PAIRED}  # what they read does not grow with a training set
IMAGES = "images"  # of the results of a size: bytes of its generated images


@dataclass(frozen=True)
class Law:
    """How a stage's cost grows with the number of images (k,): CPU seconds and bytes of memory at some sizes."""

    sizes: np.ndarray
    cpu_s: np.ndarray
    memory: np.ndarray

    @property
    def powers(self) -> tuple[float, float]:
        """Return the exponents of CPU seconds and of memory, by least squares."""
        logs = np.log(self.sizes)
        return float(np.polyfit(logs, np.log(self.cpu_s), 1)[0]), float(np.polyfit(logs, np.log(self.memory), 1)[0])

    @property
    def bytes_an_image(self) -> float:
        """Return the memory that each further image takes, between the two largest sizes."""
        return float((self.memory[-1] - self.memory[-2]) / (self.sizes[-1] - self.sizes[-2]))

    def at(self, images: int) -> tuple[float, float]:
        """Return CPU seconds and memory at another size, as they grow between the two largest, and at least linearly.

        Products of images and identities outgrow all else in the end, which least squares over small sizes would hide.
        """
        ratio, last = images / self.sizes[-1], slice(-2, None)
        power = np.diff(np.log(self.cpu_s[last])) / np.diff(np.log(self.sizes[last]))
        memory = self.memory[-1] + max(self.bytes_an_image, 0) * (images - self.sizes[-1])
        return float(self.cpu_s[-1] * ratio ** max(*power, 1)), float(max(memory, self.memory[-1]))


def main(sizes: Sequence[int], save: bool, folder: Path | None = None) -> None:
    """Measure the stages at each size, print the tables, and `save` them.

    Raises InputError for sizes from which no growth can be told, or that are no whole shards of people.
    """
    if len(set(sizes)) < 2 or min(sizes) < 100 * DEPTH or any(size % (2 * DEPTH) for size in sizes):
        allowed = f"two or more, each a multiple of {2 * DEPTH} and at least {100 * DEPTH}"
        raise InputError(None, key="--sizes", value=list(sizes), allowed=allowed)
    folder = (folder or scratch.root() / "timing/scale").absolute()
    results = {size: measured(size, folder / str(size)) for size in sorted(set(sizes))}
    text = page(results)
    print(text)
    if save:
        with artifacts.output_file(FILE) as fresh:
            fresh.write_text(text)


def measured(count: int, folder: Path) -> dict[str, Any]:
    """Return CPU seconds and memory of every step at a size, and the bytes of its images; what is known is kept."""
    file, work = folder / "results.json", folder / "work"
    results: dict[str, Any] = artifacts.read_json(file) if file.exists() else {}
    if not results:
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        with chdir(work):
            prepare(count)
    for name in STEPS:
        if name not in results:
            print(f"{count:,} images: {name}", file=sys.stderr, flush=True)
            results[name] = dict(zip(("cpu_s", "memory"), run(name, work), strict=True))
            if name == "generate":
                results[IMAGES] = sum(shard.stat().st_size for shard in work.glob("data/generate/plain-*.arrow"))
            artifacts.write_json(file, results)
    shutil.rmtree(work, ignore_errors=True)
    return results


def run(name: str, work: Path) -> tuple[float, int]:
    """Run a step in a process of its own; returns its CPU seconds, libraries not counted, and the most it held."""
    command, environment = (
        [sys.executable, "-m", scale_stages.__name__, name],
        {**os.environ, **ONE_THREAD, parents.LAUNCHER: f"{os.getpid()}"},
    )
    with (work / "log.txt").open("a") as log:
        process = subprocess.Popen(command, cwd=work, env=environment, stdout=log, stderr=log)
        peak = 0
        while process.poll() is None:
            peak = max(peak, _anonymous(process.pid))
            time.sleep(LOOK_S)
    if process.returncode:
        raise InputError(work / "log.txt", f"{name} ended with exit code {process.returncode}", allowed="0")
    return artifacts.read_json(work / COST)["cpu_s"], peak


def _anonymous(process: int) -> int:
    """Return the bytes of memory that a process holds and no file backs; 0 when it has ended."""
    try:
        text = Path(f"/proc/{process}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    lines = dict(line.split(":", 1) for line in text.splitlines())
    return 1024 * int(lines["RssAnon"].split()[0]) if "RssAnon" in lines else 0


def laws(results: Mapping[int, Mapping[str, Any]]) -> dict[str, Law]:
    """Return each step's law from its results by size."""
    return {name: _law(name, {size: by for size, by in results.items() if size <= LARGEST.get(name, size)})
            for name in STEPS}  # fmt: skip


def _law(name: str, results: Mapping[int, Mapping[str, Any]]) -> Law:
    costs = (np.array([by[name][key] for by in results.values()]) for key in ("cpu_s", "memory"))
    return Law(np.array(list(results), float), *costs)


def page(results: Mapping[int, Mapping[str, Any]]) -> str:
    """Return the page of the results by size."""
    law, largest, sizes = laws(results), max(results), " ".join(map(str, results))
    image_bytes = results[largest][IMAGES] / largest
    growth = markdown.table(
        ["stage", *(f"{size:,}" for size in results), "power of CPU s", "of MB", "B an image"],
        [growth_row(name, of, len(results)) for name, of in law.items()],
        labels=1,
    )
    costs = markdown.table(
        ["profile", "images", "hours of a core", "memory, GB", "images, GB"],
        [cost(name, images, law, image_bytes) for name, images in profiles().items() if images >= largest / 2],
        labels=1,
    )
    return f"""# What the stages cost at scale

Written by `python -m stages.tools.timing scale --sizes {sizes}`, on {platform.machine()}. Networks
are replaced by a linear map, the generator by one that paints a row into a face (stages/tools/scale_stages.py); all
else is what `dvc repro` runs, on one core: faces of 112 px, {image_bytes / 1e3:.1f} kB each as stored, {DEPTH} of each
identity, as many gallery faces as identities. The benchmark has as many images, too, {PAIRED:,} at most, and half
as many pairs. `epoch` is what `train` reads in one pass over its variant; `train` itself takes ten steps. Memory is
what a process holds beside the pages of files, libraries included; where there are ranks, each holds as much. Powers
are exponents of the number of images, by least squares over all sizes; B an image is the growth of memory between the
two largest.

{growth}

From these laws, without what networks and benchmarks cost:

{costs}

Hours are those of all stages together, one pass of one training included, as each grows between the two largest sizes,
and at least linearly; ranks share gallery, embed, generate, audit, sets and ingest. The packing is that of `gaussian`;
for `hyperface` see pack.md. Memory is that of the stage that needs most. On the disk images lie in data/, and once more
in DVC's cache where it copies; scratch becomes output by hard link.
"""


def growth_row(name: str, law: Law, columns: int) -> list[str]:
    """Return a step's row: CPU seconds and memory at each size, and how both grow."""
    costs = [f"{cpu:.1f} s, {memory / MB:.0f} MB" for cpu, memory in zip(law.cpu_s, law.memory, strict=True)]
    costs += [""] * (columns - len(costs))
    return [name, *costs, *(f"{power:.2f}" for power in law.powers), f"{law.bytes_an_image:.0f}"]


def profiles() -> dict[str, int]:
    """Return the number of generated images of every profile that makes some, plain and mixed."""
    counts = {}
    for name in profile.names():
        drawn = params.read(profile.PROFILES / f"{name}.yaml").get("generate", {})
        if "depths" in drawn:
            widths, depths = (np.array(drawn["depths"][key]) for key in ("identities", "images"))
            has = widths[:, None] > np.arange(widths.max())  # (entries, identities)
            plain = int(np.where(has, depths[:, None], 0).max(0).sum())
            counts[name] = plain + drawn["mixup"]["identities"] * drawn["mixup"]["images"]
    return counts


def cost(name: str, images: int, law: Mapping[str, Law], image_bytes: float) -> list[str]:
    """Return a profile's row: images, hours of a core, gigabytes of memory and of images."""
    ends = [of.at(images) for step, of in law.items() if step not in LARGEST]
    hours, memory = sum(cpu for cpu, _ in ends) / HOUR, max(memory for _, memory in ends)
    return [name, f"{images:,}", f"{hours:.1f}", f"{memory / GB:.1f}", f"{images * image_bytes / GB:.0f}"]
