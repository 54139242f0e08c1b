"""insightface's benchmarks: a pickle of (2p encoded images, p labels); `.xz` is the same, compressed (SOTA-FR)."""

import lzma
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from stages.formats import paired, pickles
from stages.formats.paired import Benchmark

PROTOCOL = 4  # the oldest that every reader of today and Python's fast path share


def read(file: Path) -> Benchmark:
    """Return the benchmark in a .bin or .xz; raises ValueError when it is broken, carries code or is something else."""
    opened = lzma.open if file.suffix == ".xz" else open
    with opened(file, "rb") as stream:
        images, same = _parts(pickles.load(stream, str(file)), file)
    return paired.by_content(len(images), images.__getitem__, lambda row: f"{file}: image {row}", same)


def _parts(held: Any, file: Path) -> tuple[list[bytes], np.ndarray]:
    if not (isinstance(held, tuple | list) and len(held) == 2 and len(held[0]) and len(held[1])):
        raise ValueError(f"{file}: holds {type(held).__name__}; allowed: (images, labels)")
    images = [image.tobytes() if isinstance(image, np.ndarray) else image for image in held[0]]
    wrong = [i for i, image in enumerate(images) if not isinstance(image, bytes)]
    if wrong:
        raise ValueError(f"{file}: image {wrong[0]} is {type(images[wrong[0]]).__name__}; allowed: encoded bytes")
    same = np.array(held[1])
    if same.ndim != 1 or same.dtype.kind not in "biu" or not np.isin(same, (0, 1)).all():
        raise ValueError(f"{file}: labels; allowed: as many times true or false as there are pairs")
    return images, same.astype(bool)


def write(file: Path, images: list[bytes], same: np.ndarray) -> None:
    """Write 2p encoded images and p labels."""
    with file.open("wb") as stream:
        pickle.dump((images, [bool(s) for s in same]), stream, PROTOCOL)
