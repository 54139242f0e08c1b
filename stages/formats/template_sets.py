"""Benchmarks of templates: which images each holds, which are compared, and who is searched where."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from stages.common import tables
from stages.common.errors import InputError
from stages.common.templates import IMAGES


@dataclass(frozen=True)
class TemplateSet:
    """A benchmark of templates on disk.

    files, identity (n,): the images, and whom each shows. images: template, media and detector's score of each, as
    IMAGES. protocols: by the evaluator's name, what is compared (COMPARISONS) or searched (SEARCHES). landmarks: five
    points (n, 5, 2) in pixels to align each image by, None where the lists have none.
    """

    files: list[Path]
    identity: np.ndarray
    images: pa.Table
    protocols: dict[str, pa.Table]
    landmarks: np.ndarray | None = None

    @property
    def index(self) -> np.ndarray:
        """Return the number of each image, (n,)."""
        return np.arange(len(self.files))

    def encoded(self, row: int) -> bytes:
        """Return the encoded image of a row."""
        return self.files[row].read_bytes()

    def source(self, row: int) -> str:
        """Return how messages name the image of a row."""
        return str(self.files[row])


def of_images(template: np.ndarray, media: np.ndarray, score: np.ndarray) -> pa.Table:
    """Return the table of images (n,) from the template, the media and the detector's score of each."""
    return tables.of(IMAGES, {"template": template, "media": media, "score": score})


def existing(files: Iterable[Path], listed: Path) -> list[Path]:
    """Return image files, all of which are there; raises InputError with the first that is not."""
    files = list(files)
    there = {entry for folder in {file.parent for file in files} if folder.is_dir() for entry in folder.iterdir()}
    missing = next((file for file in files if file not in there), None)
    if missing:
        raise InputError(missing, f"no such image, listed in {listed}")
    return files


def numbers(known: np.ndarray) -> Callable[[np.ndarray, Path, str], np.ndarray]:
    """Return a function that gives the place of template ids among the ascending `known` ones (t,).

    It raises InputError, with the list that names it, for a template without images.
    """

    def of(ids: np.ndarray, file: Path, key: str) -> np.ndarray:
        place = np.minimum(np.searchsorted(known, ids), len(known) - 1)
        unknown = np.flatnonzero(known[place] != ids)
        if len(unknown):
            raise InputError(file, "a template without images", key=key, value=int(ids[unknown[0]]))
        return place

    return of
