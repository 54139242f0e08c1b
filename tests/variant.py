"""A small variant on disk: shards of noise, and the manifest that lists every image of them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from stages.common import artifacts, images, tables


def noise(count: int, side: int = 32, seed: int = 0) -> np.ndarray:
    """Return faces (count, side, side, 3) uint8 that no two share, smooth enough for JPEG."""
    coarse = np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 3), np.uint8)
    return images.resize(coarse, side)


def write(folder: Path, shards: Mapping[str, Sequence[np.ndarray | bytes]], **about: object) -> Path:
    """Write FOLDER/SET/SHARD.arrow for each `SET/SHARD` and a manifest of all their images; returns its path.

    Each image is an identity of its own; those of sets named mix are of that domain.
    """
    names, digests, rows = [], {}, {name: [] for name in tables.MANIFEST.names}
    for name, faces in shards.items():
        number, where = np.arange(len(faces)), folder / f"{name}.arrow"
        frame_px = 112 if "other" in name else images.FRAME_PX
        images.write_shard(where, faces, identity=number, index=number, seed=number, domain="", frame_px=frame_px)
        place, shard = where.parent.name, where.name
        digests[f"{place}/{shard}"] = artifacts.digest(where)
        names += [(place, shard, row) for row in range(len(faces))]
    for name, values in zip(("set", "shard", "row"), zip(*names, strict=True) if names else ((), (), ()), strict=True):
        rows[name] = list(values)
    rows["label_a"] = rows["label_b"] = list(range(len(names)))
    rows["weight"] = [1.0] * len(names)
    rows["domain"] = ["mix" if place == "mix" else "main" for place, _, _ in names]
    variant = {"classes": max(1, len(names)), "augment": False, "digests": digests} | about
    table = tables.of(tables.MANIFEST, rows).replace_schema_metadata({"variant": json.dumps(variant)})
    tables.write(folder / "manifest.arrow", table)
    return folder / "manifest.arrow"
