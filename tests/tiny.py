"""The tiny pipeline: parameters at which every stage runs on real components in a second or two."""

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).parent.parent
TINY: dict[str, Any] = {
    "world.size_px": 16,
    "pretrain": {
        "identities": 40, "images": 4, "epochs": 4, "judge_epochs": 4, "unseen_identities": 20,
        "inverter_identities": 128, "inverter_epochs": 10, "wild_spread": 0.4, "studio_spread": 0.3,
        "learning_rate": 0.0025, "seed": 0,
    },
    "gallery.identities": 40,
    "pack.identities": 12,
    "pack.iterations": 40,
    "generate.depths": [{"identities": 4, "images": 6}, {"identities": 12, "images": 3}],
    "generate.mixup": {"identities": 10, "images": 3},
    "generate.control": {"identities": 6, "images": 4},
    "generate.refine_steps": 2,
    "audit.calibration_identities": 12,
    "sets.wild.identities": 10,
    "sets.wild.images": 3,
    "variants": {
        name: {"source": source, "width": width, "depth": depth, "identity_mixup": mixed, "augment": augment,
               "mix": mix, "mix_width": mix_width, "mix_depth": mix_width}
        for name, source, width, depth, mixed, augment, mix, mix_width in [
            ("base", "audit", 10, 3, False, False, "audit", 0),
            ("wide", "audit", 12, 2, False, False, "audit", 0),
            ("deep", "audit", 4, 6, False, False, "audit", 0),
            ("identity-mixup", "audit", 10, 3, True, False, "audit", 0),
            ("domain-mixup", "audit", 10, 3, False, False, "sets/wild", 2),
            ("augmented", "audit", 10, 3, False, True, "audit", 0),
            ("wild-small", "sets/wild", 2, 3, False, False, "sets/wild", 0),
            ("wild", "sets/wild", 10, 3, False, False, "sets/wild", 0),
        ]
    },
    "train.samples": 128,
    "train.widths": [16, 16, 16, 16],
    "train.size_px": 32,
    "train.seeds": [0, 1],
    "evaluate.replicates": 20,
    "report": {"sheet_identities": 1, "sheet_images": 3, "map_identities": 3, "map_images": 3},
}  # fmt: skip
CHAIN = [
    "validate", "pretrain", "gallery", "embed", "pack", "generate", "audit", "sets wild", "benchmarks",
    *(f"{stage} {name}" for stage in ("variants", "train", "evaluate") for name in TINY["variants"]), "report",
]  # fmt: skip


def params(overrides: dict[str, Any]) -> dict[str, Any]:
    """Return the repository's params.yaml with dotted keys replaced."""
    values = YAML(typ="safe", pure=True).load((ROOT / "params.yaml").read_text())
    for key, value in overrides.items():
        *path, last = key.split(".")
        node = values
        for part in path:
            node = node[part]
        node[last] = value
    return values


def write_params(folder: Path, overrides: dict[str, Any]) -> None:
    """Write a params.yaml into a folder."""
    with (folder / "params.yaml").open("w") as stream:
        YAML(typ="safe", pure=True).dump(params(overrides), stream)


@contextmanager
def working_in(folder: Path) -> Iterator[None]:
    """Make a folder the working directory."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def run(stage: str) -> str:
    """Call a stage's `main()`, given as on the command line; returns its closing line."""
    name, *words = stage.split()
    before, sys.argv = sys.argv, [name, *words]
    try:
        return importlib.import_module(f"stages.{name}").main()
    finally:
        sys.argv = before
