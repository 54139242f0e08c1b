"""A small variant on disk: shards of noise, and the manifest that lists every image of them."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from stages.common import artifacts, images, tables
from stages.training.samples import Samples


def noise(count: int, side: int = 32, seed: int = 0) -> np.ndarray:
    """Return faces (count, side, side, 3) uint8 that no two share, smooth enough for JPEG."""
    coarse = np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 3), np.uint8)
    return images.resize(coarse, side)


def write(folder: Path, shards: Mapping[str, np.ndarray | list[bytes]], **about: object) -> Path:
    """Write FOLDER/SET/SHARD.arrow for each `SET/SHARD` and a manifest of all their images; returns its path.

    Each image is an identity of its own; those of the set `mix` are of that domain. Shards named `other` state another
    frame than the rest.
    """
    for name, faces in shards.items():
        number, file = np.arange(len(faces)), folder / f"{name}.arrow"
        frame_px = 112 if "other" in name else images.FRAME_PX
        images.write_shard(file, list(faces), identity=number, index=number, seed=number, domain="", frame_px=frame_px)
    return write_manifest(folder, {name: len(faces) for name, faces in shards.items()}, **about)


def write_manifest(folder: Path, sizes: Mapping[str, int], **about: object) -> Path:
    """Write a manifest of all images of the shards `SET/SHARD`, which hold so many; returns its path."""
    places = [(*f"{name}.arrow".split("/"), row) for name, size in sizes.items() for row in range(size)]
    digests = {f"{name}.arrow": artifacts.digest(folder / f"{name}.arrow") for name in sizes}
    columns = {
        **{name: [place[i] for place in places] for i, name in enumerate(("set", "shard", "row"))},
        **{name: list(range(len(places))) for name in ("label_a", "label_b")},
        "weight": [1.0] * len(places),
        "domain": ["mix" if place == "mix" else "main" for place, _, _ in places],
    }
    variant = {"classes": max(1, len(places)), "augment": False, "digests": digests} | about
    table = tables.of(tables.MANIFEST, columns).replace_schema_metadata({"variant": json.dumps(variant)})
    tables.write(folder / "manifest.arrow", table)
    return folder / "manifest.arrow"


def held(samples: Samples) -> np.ndarray:
    """Return the faces of samples that are held in memory."""
    assert isinstance(samples.faces, np.ndarray)
    return samples.faces
