"""Draw many faces into image shards, all ranks together, a shard at a time."""

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np

from stages.common import images, ranks

Encoded = list[bytes]  # encoded faces, stored as they are
Drawn = np.ndarray | tuple[np.ndarray | Encoded, list[str]]  # faces (b, h, w, 3), and each one's domain if that varies
EVEN, BATCH = 4, 32  # the number of shards is a multiple of EVEN where there are enough images


@dataclass(frozen=True)
class Provenance:
    """Where b images come from; arrays are (b,).

    Each shows `ratio` of `identity` and the rest of `partner`; without identity mixup `partner` and `ratio` are None.
    """

    domain: str
    identity: np.ndarray
    index: np.ndarray
    seed: np.ndarray
    partner: np.ndarray | None = None
    ratio: np.ndarray | None = None
    frame_px: int = images.FRAME_PX  # what each shows of ArcFace's template of 112 px

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.seed)

    def __getitem__(self, part: slice) -> "Provenance":
        """Return where the images of a slice come from."""
        return replace(self, **{name: x[part] for name, x in vars(self).items() if isinstance(x, np.ndarray)})


class Rows(Protocol):
    """Where n images come from, made for a slice of them at a time: 15 million would not fit beside each other."""

    def __len__(self) -> int:
        """Return the number of images."""
        ...

    def __getitem__(self, part: slice) -> Provenance:
        """Return where the images of a slice come from."""
        ...


@dataclass(frozen=True)
class Roster:
    """The rows of m people, one after the other, each with `depth` (m,) images numbered from 0.

    split, seed: what the seed of an image depends on beside its person and its number, see `image_seeds`.
    """

    split: str
    seed: int
    domain: str
    depth: np.ndarray
    frame_px: int = images.FRAME_PX

    @cached_property
    def starts(self) -> np.ndarray:
        """Return the row of each person's first image, and the number of images (m + 1,)."""
        return np.concatenate([[0], np.cumsum(self.depth)])

    def __len__(self) -> int:
        """Return the number of images."""
        return int(self.starts[-1])

    def __getitem__(self, part: slice) -> Provenance:
        """Return where the images of a slice come from."""
        identity, index = self.who(part)
        seeds = image_seeds(self.split, self.seed, identity, index)
        return Provenance(self.domain, identity, index, seeds, frame_px=self.frame_px)

    def who(self, part: slice) -> tuple[np.ndarray, np.ndarray]:
        """Return the person and the index of each image of a slice, (b,) each."""
        rows = np.arange(*part.indices(len(self)))
        identity = np.searchsorted(self.starts, rows, "right") - 1
        return identity, rows - self.starts[identity]


def image_seeds(split: str, seed: int, identity: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Return one 62-bit seed per image (b,), from its split, the stage's seed, its identity and its index alone."""
    keys = (f"{split}/{seed}/{i}/{j}".encode() for i, j in zip(identity.tolist(), index.tolist(), strict=True))
    return np.fromiter((int.from_bytes(hashlib.sha256(key).digest()[:8]) >> 2 for key in keys), np.int64, len(identity))


def draw(prefix: str, rows: Rows, faces_of: Callable[[slice], Drawn | Encoded], folder: Path) -> None:
    """Write the faces that `faces_of` returns for each slice of rows into `folder`/PREFIX-00000.arrow and so on.

    Shards that a killed run has finished are kept.
    """
    files = {folder / f"{prefix}-{i:05d}.arrow": part for i, part in enumerate(slices(len(rows)))}
    sizes = {file: part.stop - part.start for file, part in files.items()}
    ranks.make(sizes, lambda file: _draw_shard(file, rows[files[file]], faces_of(files[file])), f"draw {prefix}", "img")


def slices(count: int) -> list[slice]:
    """Return which of `count` images lie in each shard."""
    size = rows_per_shard(count)
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]


def rows_per_shard(count: int) -> int:
    """Return how many of `count` images a shard holds, so that one, two or four ranks share the work evenly.

    A multiple of BATCH, so that generators draw in full batches.
    """
    shards = EVEN * max(1, math.ceil(count / (EVEN * images.ROWS_PER_SHARD)))
    return BATCH * max(1, math.ceil(count / shards / BATCH))


def _draw_shard(file: Path, rows: Provenance, drawn: Drawn | Encoded) -> None:
    faces, domain = drawn if isinstance(drawn, tuple) else (drawn, rows.domain)
    about = {name: value for name, value in vars(rows).items() if name != "domain"}
    images.write_shard(file, list(faces), domain=domain, **about)
