"""The tiny pipeline: parameters at which every stage runs on real components in a second or two."""

import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
from dvc.repo import Repo
from dvc.stage import PipelineStage
from ruamel.yaml import YAML

from stages.common.params import read

ROOT = Path(__file__).parent.parent
# of DVC or a stage in a process of its own
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "DVC_NO_ANALYTICS": "1"}
BASE = {"source": "audit", "mix": "none", "width": 10, "depth": 3}
TINY: dict[str, Any] = {
    "world.size_px": 16,
    "pretrain": {
        "people": {"recognisers": 40, "unseen": 20, "inverter": 128, "pose": 128}, "images": 4,
        "epochs": {"recogniser": 4, "judge": 4, "inverter": 10, "pose": 4},
        "spread": {"studio": 0.3, "wild": 0.4}, "learning_rate": 0.0025, "seed": 0,
    },
    "gallery.identities": 40,
    "pack.identities": 12,
    "pack.iterations": 200,
    "generate.depths": {"identities": [4, 12], "images": [6, 3]},
    "generate.mixup": {"identities": 10, "images": 3},
    "generate.control": {"identities": 6, "images": 4},
    "generate.refine_steps": 2,
    "generate.attributes.steps": 2,
    "generate.attributes.min_cosine": -1,
    "generate.poses": {"identities": 2, "yaw_deg": [-20, 20], "pitch_deg": 0, "tolerance_deg": 40},
    "audit.calibration_identities": 12,
    "sets.wild.identities": 10,
    "sets.wild.images": 3,
    "variants": {
        "base": BASE,
        "wide": {**BASE, "width": 12, "depth": 2},
        "deep": {**BASE, "width": 4, "depth": 6},
        "identity-mixup": {**BASE, "mixup": True},
        "domain-mixup": {**BASE, "mix": "sets/wild", "mixed": 2, "mix_depth": 2},
        "wild": {**BASE, "source": "sets/wild", "augment": True},
    },
    "train.samples": 128,
    "train.levels.widths": [16, 16, 16, 16],
    "train.input.size_px": 32,
    "train.runs.seeds": [0, 1],
    "benchmarks.templates": 8,
    "evaluate.replicates": 20,
    "report": {
        "figures": {"sheet": {"identities": 1, "images": 3}, "map": {"identities": 3, "images": 3}},
        "contrasts": {
            "gap": {"of": "wild", "against": "base", "on": "wild", "minus": "syn-lfw", "expected": 1},
            "wide": {"of": "wide", "against": "base", "on": "wild", "expected": 1},
        },
    },
}  # fmt: skip
CHAIN = [
    "validate", "pretrain", "gallery", "embed", "pack", "generate", "audit", "sets wild", "benchmarks", "baselines",
    *(f"{stage} {name}" for stage in ("variants", "train", "evaluate") for name in TINY["variants"]), "report",
]  # fmt: skip


def params(overrides: dict[str, Any]) -> dict[str, Any]:
    """Return the repository's params.yaml with dotted keys replaced."""
    values = read(ROOT / "params.yaml")
    for key, value in deepcopy(overrides).items():
        *path, last = key.split(".")
        node = values
        for part in path:
            node = node[part]
        node[last] = value
    return values


def write_params(folder: Path, overrides: dict[str, Any]) -> None:
    """Write a params.yaml into a folder."""
    write_values(folder, params(overrides))


def write_values(folder: Path, values: dict[str, Any]) -> None:
    """Write these values, whatever they are, as a folder's params.yaml."""
    with (folder / "params.yaml").open("w") as stream:
        YAML(typ="safe", pure=True).dump(values, stream)


def write_own_benchmark(folder: Path, people: int = 4, images: int = 3) -> None:
    """Write a user's set `own` in LFW's layout: 2 folds of 2 genuine and 2 impostor pairs."""
    root = folder / "data/external/benchmarks/own"
    for person in range(people):
        where = root / "images" / f"p{person}"
        where.mkdir(parents=True)
        for i in range(1, images + 1):
            grain = np.random.default_rng(person).integers(-10, 10, (56, 46, 3))
            face = np.clip(40 * person + 10 * i + grain, 0, 255).astype(np.uint8)
            cv2.imwrite(str(where / f"p{person}_{i:04d}.png"), face)
    lines = ["2\t2"]
    for fold in range(2):
        a, b = 2 * fold, 2 * fold + 1
        lines += [f"p{a}\t1\t2", f"p{b}\t1\t3", f"p{a}\t1\tp{b}\t2", f"p{a}\t3\tp{b}\t1"]
    (root / "pairs.txt").write_text("\n".join(lines) + "\n")


@contextmanager
def working_in(folder: Path) -> Iterator[None]:
    """Make a folder the working directory."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@contextmanager
def data_at(folder: Path) -> Iterator[None]:
    """Work where data/ is this folder, so that what lies there has a path of params.yaml."""
    with TemporaryDirectory() as root:
        Path(root, "data").symlink_to(folder)
        with working_in(Path(root)):
            yield


def run(stage: str) -> str:
    """Call a stage's `main()`, given as on the command line; returns its closing line."""
    name, *words = stage.split()
    before, sys.argv = sys.argv, [name, *words]
    try:
        return importlib.import_module(f"stages.{name}").main()
    finally:
        sys.argv = before


@cache
def declared() -> dict[str, tuple[list[str], list[str]]]:
    """Return {stage: (what it reads, what it writes)} as DVC understands dvc.yaml, stages named as in `CHAIN`."""

    def paths(outs: list[Any]) -> list[str]:
        return [os.path.relpath(out.fs_path, ROOT) for out in outs if out.fs_path]

    stages = [stage for stage in Repo(str(ROOT)).index.stages if isinstance(stage, PipelineStage)]
    return {str(stage.name).replace("@", " "): (paths(stage.deps), paths(stage.outs)) for stage in stages}


def run_on_what_it_declares(stage: str) -> None:
    """Call a stage's `main()` where data/ and reports/ hold what dvc.yaml says that it reads, and nothing else."""
    reads, writes = declared()[stage]
    whole = Path("whole")
    for name in ("data", "reports"):
        Path(name).mkdir(exist_ok=True)
        Path(name).rename(whole / name)
    for file in {file for path in reads for file in [whole / path, *(whole / path).rglob("*")] if file.is_file()}:
        seen = file.relative_to(whole)
        seen.parent.mkdir(parents=True, exist_ok=True)
        os.link(file, seen)
    run(stage)
    for path in writes:
        (whole / path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).rename(whole / path)
    for name in ("data", "reports"):
        shutil.rmtree(name, ignore_errors=True)
        (whole / name).rename(name)


def git_and_dvc(folder: Path) -> None:
    """Make a folder a repository of git and DVC, nothing committed."""
    dvc = f"{sys.executable} -m dvc init -q"
    for command in ("git init -q -b main", "git config user.email a@b.c", "git config user.name a", dvc):
        subprocess.run(command.split(), cwd=folder, check=True)
