"""Embedded images of people, read in parts: what is measured on a million of them holds a few thousand rows at a time.

The rows may lie in a memory map. Sums are taken image by image, in order, so that no number depends on the parts.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from stages.common import ranks, sphere

PART = sphere.TILE  # images in a part; as double-precision rows they stay in the cache
COMPARED = 1 << 14  # images that a rank compares with other rows at a time


@dataclass(frozen=True)
class Faces:
    """Rows x (b, d) float32 of b images, of any length and perhaps memory-mapped, and whom they show (b,), from 0."""

    x: np.ndarray
    identity: np.ndarray

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.identity)

    @property
    def people(self) -> int:
        """Return the number m of identities."""
        return int(self.identity.max()) + 1

    def unit(self, images: np.ndarray) -> np.ndarray:
        """Return the unit rows (k, d) float32 of some images (k,)."""
        x = np.empty((len(images), self.x.shape[1]), np.float32)
        for begin in range(0, len(images), PART):
            part = slice(begin, begin + PART)
            x[part] = sphere.unit_rows(self.x[images[part]])
        return x

    def parts(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield the parts of the images, in order, and their unit rows (part, d) float32."""
        for begin in range(0, len(self), PART):
            part = slice(begin, min(begin + PART, len(self)))
            yield part, sphere.unit_rows(self.x[part])

    def each(self, measure: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
        """Return what `measure` gives for every image (b,), from unit rows (part, d) and whom they show (part,)."""
        return np.concatenate([measure(x, self.identity[part]) for part, x in self.parts()])

    def cosines(self, rows: np.ndarray) -> np.ndarray:
        """Return the cosine (b,) of every image to its identity's unit row (m, d)."""
        return self.each(lambda x, identity: np.einsum("bd,bd->b", x, rows[identity]))

    @cached_property
    def count(self) -> np.ndarray:
        """Return the number of images of each identity (m,)."""
        return np.bincount(self.identity)

    def sums(self, images: np.ndarray) -> np.ndarray:
        """Return the sum of the unit rows of each identity (m, d) float64 over the images that (b,) bool names."""
        total = np.zeros((self.people, self.x.shape[1]))
        for part, x in self.parts():
            x, identity = x[images[part]], self.identity[part][images[part]]
            order = np.argsort(identity, kind="stable")
            first = np.searchsorted(identity[order], identity[order])
            turn = np.arange(len(order)) - first  # each image's place among those of its identity
            for rows in np.split(order[np.argsort(turn, kind="stable")], np.cumsum(np.bincount(turn))[:-1]):
                total[identity[rows]] += x[rows]  # nobody twice: as np.add.at, and ten times as fast
        return total

    @cached_property
    def total(self) -> np.ndarray:
        """Return the sum of the unit rows of each identity (m, d) float64."""
        return self._sums_of_all()

    def _sums_of_all(self) -> np.ndarray:
        return self.sums(np.ones(len(self), bool))

    @cached_property
    def centres(self) -> np.ndarray:
        """Return the unit mean row of each identity (m, d) float32; the sums behind it are not held."""
        return sphere.unit_rows(self._sums_of_all())

    @cached_property
    def to_centre(self) -> np.ndarray:
        """Return the cosine (b,) of every image to its identity's centre."""
        return self.cosines(self.centres)

    @cached_property
    def several(self) -> np.ndarray:
        """Return which images (b,) show an identity of which there are others."""
        return self.count[self.identity] > 1

    @cached_property
    def to_the_others(self) -> np.ndarray:
        """Return the cosine of each of the `several` images to the centre of its identity's other images."""

        def cosine(x: np.ndarray, identity: np.ndarray) -> np.ndarray:
            x, identity = x[some := self.count[identity] > 1], identity[some]
            return np.einsum("bd,bd->b", x, sphere.unit_rows(self.total[identity] - x))

        return self.each(cosine)

    def nearest(self, rows: np.ndarray) -> np.ndarray:
        """Return the cosine (b,) of every image to its nearest unit row (n, d); all ranks call this and share it."""
        cosine = np.zeros(len(self), np.float32)

        def compare(begin: int) -> None:
            images = np.arange(begin, min(begin + COMPARED, len(self)))
            cosine[images] = sphere.nearest(self.unit(images), rows)[1]

        parts = range(0, len(self), COMPARED)
        ranks.share(parts, compare, "nearest rows" if len(parts) > 3 else None)
        return ranks.total(cosine)
