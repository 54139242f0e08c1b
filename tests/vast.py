"""A folder of more than 2.5 GiB of image shards that takes 64 MiB of the disk: one shard under most of its names."""

import os
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import variant

from stages.common import images

SHARDS, ROWS, SIDE = 48, 3, 16
OWN = (0, 33, SHARDS - 1)  # shards with faces of their own: at both ends, and the first one behind 2 GiB
PADDING = bytes(1 << 26)  # behind an image, where no decoder looks


@dataclass(frozen=True)
class Vast:
    """Shards in `folder`, and the face of each row: faces (n, SIDE, SIDE, 3) uint8 RGB."""

    folder: Path
    faces: np.ndarray


def write(folder: Path) -> Vast:
    """Write FOLDER/00.arrow and so on."""
    repeated, faces = variant.noise(ROWS, SIDE), []
    for number in range(SHARDS):
        file = folder / f"{number:02d}.arrow"
        own = variant.noise(ROWS, SIDE, seed=number) if number in OWN else repeated
        faces.append(own)
        if number in OWN:
            _write_shard(file, own, b"")
        elif number == 1:
            _write_shard(file, own, PADDING)
        else:
            os.link(folder / "01.arrow", file)
    assert sum(file.stat().st_size for file in folder.glob("*.arrow")) > 2.5 * 2**30
    return Vast(folder, np.concatenate(faces))


def _write_shard(file: Path, faces: np.ndarray, padding: bytes) -> None:
    encoded = [cv2.imencode(".png", face[..., ::-1])[1].tobytes() for face in faces]
    encoded[1] += padding
    images.write_shard(file, encoded, **dict.fromkeys(("identity", "index", "seed"), np.arange(ROWS)), domain="x")
