"""Benchmarks: pairs of images, who is on them, and the folds in which they are compared."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from stages.common import tables

FOLDS = 10


@dataclass(frozen=True)
class Benchmark:
    """A set of pairs on disk.

    encoded, source: the bytes of an image row and how messages name it; identity, index (n,): whom each row shows and
    its number; pairs: a, b (rows), same, fold.
    """

    encoded: Callable[[int], bytes]
    source: Callable[[int], str]
    identity: np.ndarray
    index: np.ndarray
    pairs: pa.Table


def by_content(
    name: object,
    count: int,
    encoded: Callable[[int], bytes],
    source: Callable[[int], str],
    same: np.ndarray,
    content: Callable[[int], bytes] | None = None,
) -> Benchmark:
    """Return the benchmark of `count` images, of which 2i and 2i + 1 are pair i, when nothing names the people.

    Images of equal content (their encoded bytes, where nothing else is given) are one row. Rows that genuine pairs
    link, directly or over others, are one person, everyone else is somebody else: all that pairs can tell, and what
    resampling by person needs. Raises ValueError, with its `name`, when there are not twice as many images as labels,
    or what is compared makes no sense.
    """
    if count != 2 * len(same) or count == 0:
        raise ValueError(f"{name}: {count} images, {len(same)} labels; allowed: two images a label")
    row = numbered(map(content or encoded, range(count)))
    check_selves(name, row[::2], row[1::2], same)
    a, b, identity = _people(row[::2], row[1::2], same)
    first = np.empty(len(identity), np.int64)  # the image that stands for a row
    for rows, images in ((b, np.arange(count)[1::2]), (a, np.arange(count)[::2])):
        first[rows[::-1]] = images[::-1]
    return Benchmark(
        lambda i: encoded(int(first[i])),
        lambda i: source(int(first[i])),
        identity,
        first,
        tables.pairs(a, b, same, folds(same, str(name))),
    )


def numbered(contents: Iterable[bytes]) -> np.ndarray:
    """Return a number for each content (n,), equal ones alike, in the order in which they come first."""
    found: dict[bytes, int] = {}
    return np.array([found.setdefault(hashlib.sha256(content).digest(), len(found)) for content in contents], np.int64)


def check_selves(name: object, a: np.ndarray, b: np.ndarray, same: np.ndarray) -> None:
    """Raise ValueError when pairs compare images a and b (p,), numbered by content, with themselves.

    Of genuine pairs published lists may hold a few. Of most, or of one impostor pair, something was read twice.
    """
    impostor = np.flatnonzero((a == b) & ~same)
    if len(impostor):
        raise ValueError(f"{name}: impostor pair {impostor[0] + 1} is one image with itself; allowed: two images")
    genuine = int((a == b)[same].sum())
    if 2 * genuine > same.sum():
        raise ValueError(f"{name}: {genuine} of {same.sum()} genuine pairs are one image with itself; allowed: half")


def labels(file: object, values: Sequence[Any] | np.ndarray) -> np.ndarray:
    """Return the labels (p,) of pairs as truth values; raises ValueError when one is neither true nor false, 0 or 1."""
    listed = [None] if isinstance(values, np.ndarray) and values.ndim != 1 else list(values)
    plain = [
        value.item() if isinstance(value, np.ndarray | np.generic) and value.size == 1 else value for value in listed
    ]
    if not all(isinstance(value, int) and value in (0, 1) for value in plain):
        raise ValueError(f"{file}: labels; allowed: as many times true or false as there are pairs")
    return np.array(plain, bool)


def _people(a: np.ndarray, b: np.ndarray, same: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return rows a and b (p,) and the person of each row (n,).

    An impostor pair that genuine pairs contradict (published lists hold a few) keeps its label: its second image
    becomes a row and a person of its own.
    """
    n = int(max(a.max(), b.max())) + 1
    links = coo_array((np.ones(int(same.sum())), (a[same], b[same])), (n, n))
    identity = connected_components(links, directed=False)[1].astype(np.int64)
    against = np.flatnonzero(~same & (identity[a] == identity[b]))
    b = b.copy()
    b[against] = n + np.arange(len(against))
    return a, b, np.concatenate([identity, identity.max() + 1 + np.arange(len(against))])


def folds(same: np.ndarray, source: str) -> np.ndarray:
    """Return the fold (p,) of each pair: ten runs of the list, as scikit-learn's KFold without shuffling cuts it.

    Where a run would lack genuine or impostor pairs, as in lists with all genuine pairs first, both kinds are cut into
    ten runs of their own. Raises ValueError when there are fewer than two of a kind.
    """
    kinds = [np.flatnonzero(same), np.flatnonzero(~same)]
    count = min(FOLDS, *(len(kind) for kind in kinds))
    if count < 2:
        raise ValueError(f"{source}: {len(kinds[0])} genuine and {len(kinds[1])} impostor pairs; allowed: two or more")
    fold = np.empty(len(same), np.int64)
    runs = np.array_split(np.arange(len(same)), count)
    mixed = all(same[run].any() and not same[run].all() for run in runs)
    for kind in [np.arange(len(same))] if mixed else kinds:
        for i, run in enumerate(np.array_split(kind, count)):
            fold[run] = i
    return fold
