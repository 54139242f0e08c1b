"""Benchmarks: pairs of images, who is on them, and the folds in which they are compared."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from stages.common import tables
from stages.common.errors import InputError

FOLDS = 10


@dataclass(frozen=True)
class Benchmark:
    """A set of pairs on disk.

    encoded, source: return the bytes of a row's image, and how messages name it. identity, index (n,): whom each row
    shows, and the number of the image. pairs: a, b (rows), same, fold. groups: a column for each grouping, a row a
    pair, where the format itself has groups.
    """

    encoded: Callable[[int], bytes]
    source: Callable[[int], str]
    identity: np.ndarray
    index: np.ndarray
    pairs: pa.Table
    groups: pa.Table | None = None


def by_content(
    file: str | Path,
    count: int,
    encoded: Callable[[int], bytes],
    source: Callable[[int], str],
    same: np.ndarray,
    content: Callable[[int], bytes] | None = None,
) -> Benchmark:
    """Return the benchmark of `count` images in a file without names of people; images 2i and 2i + 1 are pair i.

    Images of equal `content` (their encoded bytes, where it is None) are one row. Rows that genuine pairs link,
    directly or through others, are one person; all others are different people. Pairs tell no more, and resampling by
    person needs no more. Raises InputError when there are not twice as many images as labels, or when too many pairs
    compare an image with itself.
    """
    if count != 2 * len(same) or count == 0:
        raise InputError(file, key="images", value=count, allowed=f"two for each of {len(same)} labels")
    row = numbered(map(content or encoded, range(count)))
    check_two_images(file, row[::2], row[1::2], same)
    a, b, identity = _people(row[::2], row[1::2], same)
    first = np.empty(len(identity), np.int64)  # the image that stands for a row
    for rows, images in ((b, np.arange(count)[1::2]), (a, np.arange(count)[::2])):
        first[rows[::-1]] = images[::-1]
    return Benchmark(
        lambda i: encoded(int(first[i])),
        lambda i: source(int(first[i])),
        identity,
        first,
        tables.pairs(a, b, same, folds(same, file)),
    )


def numbered(contents: Iterable[bytes]) -> np.ndarray:
    """Return a number for each content (n,), counted from 0 as new ones come; equal contents have one number."""
    digests = np.fromiter((hashlib.sha256(content).digest() for content in contents), "V32")
    _, first, place = np.unique(digests.view("u8").reshape(-1, 4), axis=0, return_index=True, return_inverse=True)
    number = np.empty(len(first), np.int64)
    number[np.argsort(first)] = np.arange(len(first))
    return number[place.ravel()]


def check_two_images(file: str | Path, a: np.ndarray, b: np.ndarray, same: np.ndarray) -> None:
    """Raise InputError when pairs of images a and b (p,), numbered by content, compare an image with itself.

    Published lists hold a few such genuine pairs. If most are so, or one impostor pair, something was read twice.
    """
    impostor = np.flatnonzero((a == b) & ~same)
    if len(impostor):
        raise InputError(file, "an image with itself", key=f"impostor pair {impostor[0] + 1}", allowed="two images")
    genuine = int((a == b)[same].sum())
    if 2 * genuine > same.sum():
        key = "genuine pairs of an image with itself"
        raise InputError(file, key=key, value=genuine, allowed=f"at most half of {same.sum()}")


def labels(file: Path, values: Sequence[Any] | np.ndarray) -> np.ndarray:
    """Return the labels (p,) of pairs as truth values; raises InputError when one is neither true nor false, 0 or 1."""
    items = [None] if isinstance(values, np.ndarray) and values.ndim != 1 else list(values)
    plain = [item.item() if isinstance(item, np.ndarray | np.generic) and item.size == 1 else item for item in items]
    if not all(isinstance(label, int) and label in (0, 1) for label in plain):
        raise InputError(file, key="labels", allowed="true or false, or 1 or 0, one for each pair")
    return np.array(plain, bool)


def _people(a: np.ndarray, b: np.ndarray, same: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return rows a and b (p,) and the person of each row (n,).

    Published lists hold a few impostor pairs that genuine pairs contradict. Such a pair keeps its label: its second
    image becomes a row of its own, of another person.
    """
    n = int(max(a.max(), b.max())) + 1
    links = coo_array((np.ones(int(same.sum())), (a[same], b[same])), (n, n))
    identity = connected_components(links, directed=False)[1].astype(np.int64)
    contradicted = np.flatnonzero(~same & (identity[a] == identity[b]))
    added = np.arange(len(contradicted))
    b = b.copy()
    b[contradicted] = n + added
    return a, b, np.concatenate([identity, identity.max() + 1 + added])


def folds(same: np.ndarray, file: str | Path) -> np.ndarray:
    """Return the fold (p,) of each pair: ten runs of the list, as scikit-learn's KFold without shuffling cuts it.

    Where a run would lack genuine or impostor pairs, as in a file with all genuine pairs first, each kind is cut into
    ten runs of its own. Raises InputError when there are fewer than two of a kind.
    """
    kinds = [np.flatnonzero(same), np.flatnonzero(~same)]
    count = min(FOLDS, *(len(kind) for kind in kinds))
    if count < 2:
        problem = f"{len(kinds[0])} genuine and {len(kinds[1])} impostor pairs"
        raise InputError(file, problem, allowed="two or more of each")
    fold = np.empty(len(same), np.int64)
    runs = np.array_split(np.arange(len(same)), count)
    mixed = all(same[run].any() and not same[run].all() for run in runs)
    for kind in [np.arange(len(same))] if mixed else kinds:
        for i, run in enumerate(np.array_split(kind, count)):
            fold[run] = i
    return fold
