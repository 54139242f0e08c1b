"""Formats in which the field keeps its faces, one a file. An image is read when its row is wanted, never a whole set.

They read files from outside and return encoded images and whom each shows: a training set as `Faces` with identity
(n,), a benchmark as `benchmark_pairs.Benchmark` with identity (n,) and pairs (p,), or as `template_sets.TemplateSet`.
Nothing that a file names is run, none takes much more memory than its size warrants, and a broken one is an InputError
that names it. Nothing is cropped or aligned here. A new format of training sets is a module, an entry of `READERS` in
training_sets.py and of `SETS` in layouts.py, and a name in `Sets.backend`. One of benchmarks is a module, a case of
`layouts.benchmark`, and an entry of `READERS` (pairs) or `TEMPLATES` in stages/protocols/external.py. Its tests are a
writer in the conformance test of its kind in tests/formats.
"""

import importlib
import sys
from collections.abc import Iterable
from typing import Any, Protocol, TypeVar

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from stages.common import catalogue
from stages.common.errors import InputError

T = TypeVar("T")


class Faces(Protocol):
    """A training set on disk.

    identity (n,): whom each row shows, people numbered from 0 in the order of the format's own labels. skipped: how
    many files, or members of tars, lie there and are no part of it.
    """

    identity: np.ndarray
    skipped: int

    @property
    def size(self) -> tuple[int, int] | None:
        """Return height and width of every face where the set declares them, None where it does not."""
        ...

    def encoded(self, row: int) -> bytes:
        """Return the encoded image of a row, byte for byte as the set holds it."""
        ...

    def source(self, row: int) -> str:
        """Return how messages name a row: its file and place."""
        ...


def people(labels: Any) -> np.ndarray:
    """Return labels (n,), numbers or names, as people numbered from 0 in the labels' own order (n,) int64."""
    if isinstance(labels, pa.ChunkedArray):
        number, names = catalogue.coded(labels)
        return people(np.array(names, object))[number]
    return np.unique(np.asarray(labels), return_inverse=True)[1].astype(np.int64).ravel()


def files_skipped(count: int) -> str:
    """Return how a closing line counts the files that were not read; nothing where there were none."""
    return f", files skipped: {count}" if count else ""


def suffix(encoded: bytes, source: str) -> str:
    """Return the file suffix of an encoded image, by its first bytes; raises InputError when it is no image."""
    signatures = {b"\xff\xd8\xff": ".jpg", b"\x89PNG": ".png", b"BM": ".bmp", b"II*\0": ".tif", b"MM\0*": ".tif"}
    signatures |= {b"P2": ".pgm", b"P5": ".pgm", b"P3": ".ppm", b"P6": ".ppm"}
    for signature, ending in signatures.items():
        if encoded.startswith(signature):
            return ending
    if encoded[:4] == b"RIFF" and encoded[8:12] == b"WEBP":
        return ".webp"
    allowed = "JPEG, PNG, BMP, WebP, TIFF, PGM or PPM"
    raise InputError(source, key="first bytes", value=encoded[:4], allowed=allowed)


def progress(rows: Iterable[T], label: str) -> Iterable[T]:
    """Return `rows` with a progress bar that shows beyond a second."""
    return tqdm(rows, label, mininterval=1, delay=1, ncols=80, file=sys.stdout)


def library(name: str) -> Any:
    """Return an optional library; raises InputError that says how to install it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise InputError(None, f"{name} is not installed; pip install -e '.[published]' brings it") from error
