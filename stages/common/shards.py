"""Draw many faces into image shards, all ranks together, a shard at a time."""

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

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


def image_seeds(split: str, seed: int, identity: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Return one 62-bit seed per image (b,), from its split, the stage's seed, its identity and its index alone."""
    keys = (f"{split}/{seed}/{i}/{j}".encode() for i, j in zip(identity.tolist(), index.tolist(), strict=True))
    return np.array([int.from_bytes(hashlib.sha256(key).digest()[:8]) >> 2 for key in keys], np.int64)


def draw(prefix: str, rows: Provenance, faces_of: Callable[[slice], Drawn | Encoded], folder: Path) -> None:
    """Write the faces that `faces_of` returns for each slice of rows into `folder`/PREFIX-00000.arrow and so on.

    Shards that a killed run has finished are kept.
    """
    size = rows_per_shard(len(rows.seed))
    parts = [slice(start, start + size) for start in range(0, len(rows.seed), size)]
    files = {folder / f"{prefix}-{i:05d}.arrow": part for i, part in enumerate(parts)}
    todo = [file for file in files if not file.exists()]
    ranks.barrier()  # all ranks have looked before one writes
    ranks.share(todo, lambda file: _draw_shard(file, files[file], rows, faces_of), f"draw {prefix}")


def rows_per_shard(count: int) -> int:
    """Return how many of `count` images a shard holds, so that one, two or four ranks share the work evenly.

    A multiple of BATCH, so that generators draw in full batches.
    """
    shards = EVEN * max(1, math.ceil(count / (EVEN * images.ROWS_PER_SHARD)))
    return BATCH * max(1, math.ceil(count / shards / BATCH))


def _draw_shard(file: Path, part: slice, rows: Provenance, faces_of: Callable[[slice], Drawn | Encoded]) -> None:
    drawn = faces_of(part)
    faces, domain = drawn if isinstance(drawn, tuple) else (drawn, rows.domain)
    images.write_shard(
        file,
        list(faces),
        identity=rows.identity[part],
        index=rows.index[part],
        seed=rows.seed[part],
        partner=None if rows.partner is None else rows.partner[part],
        ratio=None if rows.ratio is None else rows.ratio[part],
        domain=domain,
        frame_px=rows.frame_px,
    )
