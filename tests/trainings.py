"""A training small enough for tests."""

from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np

from stages.common import params
from stages.training.samples import Samples
from stages.training.settings import Train

SMALL: dict[str, Any] = {
    "backbone": "compact", "levels": {"widths": [8, 8, 16, 16], "blocks": [1, 1, 1, 1]},
    "options": {"fold_stem": True, "squeeze_excitation": False, "dropout": 0},
    "embedding_size": 16, "input": {"size_px": 32, "colour": "rgb"}, "start": "none",
    "head": {"name": "cosface", "scale": 16.0, "margin": 0.1, "warm_up": 0.3, "options": {}}, "decorrelation": 0.0,
    "augment": {"flip": 0.5, "jitter": 1, "crop": 0, "low_res": 0, "photometric": 0, "erase": 0},
    "samples": 960, "epochs": 0, "batch": 16, "learning_rate": 0.005,
    "optimiser": {"name": "adamw", "weight_decay": 0.05, "exempt": True, "betas": [0.9, 0.95]},
    "schedule": {"name": "cosine", "warm_up": 0.1, "power": 1.0, "drops": [], "factor": 0.1},
    "runs": {"seeds": [0, 1], "ranks": "seeds", "micro_batches": 1, "checkpoint_s": 60},
    "compute": {"precision": "mixed", "compile": False, "recompute": False, "centres": 1},
    "loader": {"memory": 0.5, "workers": 0, "unreadable": "refuse", "psi": "sample"},
    "monitor": {"curves": 0, "path": "none", "identities": 0, "times": 10},
}  # fmt: skip


class StopError(Exception):
    """Stands for the death of the process."""


def noise(people: int, each: int, mix: int = 0) -> Samples:
    """Return noise of 16 px for people with `each` images; the last `mix` people are of the mix domain."""
    who = np.repeat(np.arange(people), each)
    faces = np.random.default_rng(0).integers(0, 256, (len(who), 16, 16, 3), np.uint8)
    return Samples(faces, who, who, np.ones(len(who), np.float32), who >= people - mix, people, augment=False)


def coloured(people: int, each: int, mix: int = 0) -> Samples:
    """Return noise as above, upon a colour of each one's own."""
    samples = noise(people, each, mix)
    rng = np.random.default_rng(0)
    faces = rng.integers(0, 256, (people, 1, 1, 3))[samples.label_a] + rng.normal(0, 25, samples.faces.shape)
    return replace(samples, faces=np.clip(faces, 0, 255).astype(np.uint8))


def values(**changes: Any) -> dict[str, Any]:
    """Return the section of the small training with some keys changed; `head.name` is a key of a mapping."""
    values = deepcopy(SMALL)
    for key, value in changes.items():
        *path, last = key.split(".")
        node = values
        for part in path:
            node = node[part]
        node[last] = value
    return values


def cfg(**changes: Any) -> Train:
    """Return the small training with some keys changed."""
    return params.check("train", values(**changes), Train)
