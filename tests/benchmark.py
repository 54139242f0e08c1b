"""Small benchmarks as stage `benchmarks` writes them."""

from pathlib import Path

import numpy as np

from stages.common import images, tables
from stages.common.evaluate import Evaluate
from stages.common.images import Shards
from stages.evaluators import Benchmark

CFG = Evaluate(fars=[0.1], confidence=0.95, replicates=50, seed=0)


def write_faces(folder: Path, identity: np.ndarray) -> Shards:
    """Write an image of noise for each person in `identity` (n,)."""
    faces = np.random.default_rng(0).integers(0, 256, (len(identity), 8, 8, 3)).astype(np.uint8)
    index = np.arange(len(identity))
    images.write_shard(
        folder / "faces-00000.arrow", list(faces), identity=identity, index=index, seed=index, domain="x"
    )
    return Shards(folder, "*-[0-9]*.arrow")


def write_pairs(
    folder: Path, people: int, images: int, pairs: int, genuine: float = 0.5, in_order: bool = False
) -> Benchmark:
    """Write pairs in ten folds, `genuine` of them of one person, first where they are `in_order`."""
    rng = np.random.default_rng(0)
    n = people * images
    same = rng.random(pairs) < genuine
    same = np.sort(same)[::-1] if in_order else same
    a = rng.integers(0, n, pairs)
    other = (a + images * rng.integers(1, people, pairs)) % n
    b = np.where(same, a // images * images + (a + 1) % images, other)
    tables.write(folder / "pairs.arrow", tables.pairs(a, b, same, rng.permutation(pairs) % 10))
    return Benchmark("p", "pairs", folder, "wild", write_faces(folder, np.repeat(np.arange(people), images)))
