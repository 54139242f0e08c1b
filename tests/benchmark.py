"""Small benchmarks as stage `benchmarks` writes them."""

from pathlib import Path

import numpy as np

from stages.common import images, tables
from stages.common.evaluate import Evaluate, Rates
from stages.common.images import Shards
from stages.common.templates import COMPARISONS, IMAGES, PROBES, SEARCHES
from stages.evaluators import Benchmark

CFG = Evaluate(rates=Rates(fars=[0.1]), confidence=0.95, replicates=50, seed=0)


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


def write_templates(folder: Path, people: int = 8) -> Benchmark:
    """Write three templates of two images for each person: the first is enrolled, by G1, G2 or nobody, in turns."""
    template = np.repeat(np.arange(3 * people), 2)
    shards = write_faces(folder, template // 3)
    about = {"template": template, "media": np.arange(len(template)), "score": np.ones(len(template))}
    tables.write(folder / "templates.arrow", tables.of(IMAGES, about))
    enrolled = np.arange(people) * 3
    probes = np.setdiff1d(np.arange(3 * people), enrolled)
    a, b = (side.ravel() for side in np.meshgrid(enrolled, probes, indexing="ij"))
    tables.write(folder / "comparisons.arrow", tables.of(COMPARISONS, {"a": a, "b": b, "same": a // 3 == b // 3}))
    write_searches(folder, {"G1": enrolled[::3], "G2": enrolled[1::3], PROBES: probes})
    return Benchmark("t", "templates", folder, "wild", shards)


def write_searches(folder: Path, lists: dict[str, np.ndarray]) -> None:
    """Write the templates of galleries and probes."""
    columns = {
        "template": np.concatenate(list(lists.values())),
        "list": np.repeat(list(lists), list(map(len, lists.values()))),
    }
    tables.write(folder / "searches.arrow", tables.of(SEARCHES, columns))
