"""Draw many faces into image shards, all ranks together, a shard at a time."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stages.common import images, ranks

Drawn = np.ndarray | tuple[np.ndarray, list[str]]  # faces (b, h, w, 3), and what domain each is of if that varies
Encoded = list[bytes]  # faces that keep their bytes


@dataclass(frozen=True)
class Provenance:
    """What is known of b images before they are drawn; arrays are (b,).

    Each shows `ratio` of `identity` and the rest of `partner`; without identity mixup both are None.
    """

    domain: str
    identity: np.ndarray
    index: np.ndarray
    seed: np.ndarray
    partner: np.ndarray | None = None
    ratio: np.ndarray | None = None


def image_seeds(split: str, seed: int, who: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Return one 62-bit seed per image (b,), from its split, the stage's seed, its identity and its index alone."""
    keys = (f"{split}/{seed}/{i}/{j}".encode() for i, j in zip(who.tolist(), index.tolist(), strict=True))
    return np.array([int.from_bytes(hashlib.sha256(key).digest()[:8]) >> 2 for key in keys], np.int64)


def draw(prefix: str, rows: Provenance, faces_of: Callable[[slice], Drawn | Encoded], folder: Path) -> None:
    """Write the faces that `faces_of` returns for each slice of rows into `folder`/PREFIX-00000.arrow and so on.

    Shards that lie there already, from a run that was killed, are kept.
    """
    starts = range(0, len(rows.seed), images.ROWS_PER_SHARD)
    files = {folder / f"{prefix}-{i:05d}.arrow": start for i, start in enumerate(starts)}
    todo = [file for file in files if not file.exists()]
    ranks.barrier()  # all ranks have looked before one writes
    ranks.share(todo, lambda file: _draw_shard(file, files[file], rows, faces_of), f"draw {prefix}")


def _draw_shard(file: Path, start: int, rows: Provenance, faces_of: Callable[[slice], Drawn | Encoded]) -> None:
    part = slice(start, start + images.ROWS_PER_SHARD)
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
    )
