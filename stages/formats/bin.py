"""insightface's benchmarks: a pickle of (2p encoded images, p labels); `.xz` is the same, compressed (SOTA-FR)."""

import hashlib
import lzma
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from stages.common import artifacts
from stages.common.errors import InputError
from stages.formats import benchmark_pairs, pickles
from stages.formats.benchmark_pairs import Benchmark

PROTOCOL = 4  # the oldest that every reader of today and Python's fast path share
MOST_UNPACKED = 16  # times the size of an .xz: encoded images hardly shrink, and arrays of pixels not to less
ALWAYS_UNPACKED = 2**20  # bytes, whatever the size of an .xz


def read(file: Path) -> Benchmark:
    """Return the benchmark in a .bin or .xz; raises InputError when it is broken, carries code or is something else."""
    images, same = _parts(pickles.load(_content(file), file), file)
    digests = {key: hashlib.sha256(image).digest() for key, image in _distinct(images).items()}
    return benchmark_pairs.by_content(
        file,
        len(images),
        images.__getitem__,
        lambda row: f"{file}: image {row}",
        same,
        lambda i: digests[id(images[i])],
    )


def _content(file: Path) -> bytes:
    if file.suffix.lower() != ".xz":
        return file.read_bytes()
    limit = max(ALWAYS_UNPACKED, MOST_UNPACKED * file.stat().st_size)
    try:
        with lzma.open(file) as stream:
            content = stream.read(limit + 1)
    except (lzma.LZMAError, EOFError, MemoryError) as error:
        raise InputError(file, f"not a readable .xz file: {artifacts.brief(error)}") from error
    if len(content) > limit:
        raise InputError(file, f"unpacks to more than {limit} bytes", allowed=f"{MOST_UNPACKED} times its own size")
    return content


def _parts(content: Any, file: Path) -> tuple[list[bytes], np.ndarray]:
    match content:
        case [list() | tuple() | np.ndarray() as first, list() | tuple() | np.ndarray() as second]:
            images, same = list(first), benchmark_pairs.labels(file, second)
        case _:
            raise InputError(file, f"holds {type(content).__name__}", allowed="(images, labels)")
    for i, image in enumerate(images):
        if not isinstance(image, bytes | np.ndarray):
            raise InputError(file, f"is {type(image).__name__}", key=f"image {i}", allowed="encoded bytes")
    plain = {
        key: bytes(image.tobytes() if isinstance(image, np.ndarray) else image)
        for key, image in _distinct(images).items()
    }
    return [plain[id(image)] for image in images], same


def _distinct(images: list[Any]) -> dict[int, Any]:
    """Return the images by their ids, each once, however often the pickle refers to it."""
    return {id(image): image for image in images}


def write(file: Path, encoded: Callable[[int], bytes], rows: np.ndarray, same: np.ndarray) -> None:
    """Write the images `rows` (2p,), as `encoded` returns them, and labels (p,).

    A pickle is made, as it is read, of all images at once; each is in memory and in the file one time.
    """
    image_of = {row: encoded(row) for row in np.unique(rows).tolist()}
    with file.open("wb") as stream:
        pickle.dump(([image_of[row] for row in rows.tolist()], same.tolist()), stream, PROTOCOL)
