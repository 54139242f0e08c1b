"""Count near-duplicates among images of different people: exactly, though few pairs of images are compared.

Two directions at most an angle apart differ by at most that angle in their angles to any third (the triangle inequality
on the sphere). The images of an identity lie in a cone about its centre. So an image can only be within the angle of
one of them if it is within the angle of the cone: one cosine, to the centre, rules out all images of the identity. The
images that lie farthest from their centres would make cones wide. They are in no cone, and are compared with each
other. There are as many of them as make that cost what it costs to compare all other images with all centres.

Where cones overlap so much that they rule nothing out, this costs up to twice as much as all pairs do.
"""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
from torch import Tensor

from stages.common import ranks
from stages.common.devices import device
from stages.metrics.faces import Faces

BLOCK, CHUNK = 1 << 14, 1 << 14  # images in cones, and images beside them, at a time: 67 MB at d = 512
TILE = 1 << 12  # images that are in no cone, compared with each other at a time
COSINES = 1 << 25  # of images to centres at a time, at most: 134 MB
SLACK = 1e-2  # radians, 0.6 degrees: several times what rounding to float32 moves a cone's edge and an image beside it
MOST = 0.5  # share of the images beside a cone that are near it, from which on all of them are multiplied


def near_duplicates(faces: Faces, cosine: float) -> int:
    """Return how many pairs of images of different identities have a higher cosine; all ranks call it and share it."""
    cones, pairs = Cones(faces, cosine), np.zeros(1, np.int64)
    items = [*cones.beside_cones(), *cones.beside_each_other()]

    def add(compared: Callable[[], Tensor]) -> None:
        pairs[0] += int(compared())

    ranks.share(items, add, "near-duplicates" if len(items) > 3 else None)
    return int(ranks.total(pairs)[0])


class Cones:
    """Images in cones about the centres of their identities, and images far from their centres, which are in none."""

    def __init__(self, faces: Faces, cosine: float) -> None:
        """Order the images: those in cones by identity, then the far ones."""
        self.faces, self.cosine = faces, cosine
        away = np.arccos(np.clip(faces.to_centre, -1, 1).astype(np.float64))  # radians
        count = round((len(faces) * faces.people) ** 0.5)
        far = away > np.partition(away, -count)[-count]
        self.images = np.lexsort([faces.identity, far])
        self.identity, self.far, self.inside = faces.identity[self.images], far[self.images], int((~far).sum())
        reach = np.zeros(faces.people)
        np.maximum.at(reach, faces.identity[~far], away[~far])
        reach += np.arccos(cosine) + SLACK
        self.reach = np.where(reach < np.pi, np.cos(reach), -2).astype(np.float32)  # the least cosine to the centre
        self.block = (-1, torch.empty(0))
        self.room = torch.empty(COSINES, device=device())

    def beside_cones(self) -> Iterator[Callable[[], Tensor]]:
        """Yield functions that return the near-duplicates of some images among those in some cones."""
        for begin in range(0, self.inside, BLOCK):
            cones = len(np.unique(self.identity[begin : self._end(begin)]))
            chunk = min(CHUNK, COSINES // cones)
            for first in range(begin, len(self.images), chunk):
                yield partial(self._beside, begin, slice(first, first + chunk))

    def beside_each_other(self) -> Iterator[Callable[[], Tensor]]:
        """Yield functions that return the near-duplicates of some far images among some far ones."""
        tiles = [slice(begin, begin + TILE) for begin in range(self.inside, len(self.images), TILE)]
        for i, tile in enumerate(tiles):
            for other in tiles[i:]:
                yield partial(self._both_far, tile, other)

    def _beside(self, begin: int, chunk: slice) -> Tensor:
        """Return the number of pairs of an image in a cone, of those from `begin` on, and an image in `chunk`.

        Both may be in cones: then the pair counts where the one in `chunk` is of the later identity.
        """
        people, first = np.unique(self.identity[begin : self._end(begin)], return_index=True)
        members = self._block(begin).tensor_split(torch.from_numpy(first[1:]))
        centres, reach = (self._on_device(of[people]) for of in (self.faces.centres, self.reach[:, None]))
        x, identity, far = self._rows(chunk), *(self._on_device(of[chunk]) for of in (self.identity, self.far))
        cosines = torch.mm(centres, x.T, out=self.room[: len(people) * len(x)].view(len(people), -1))
        pairs = x.new_zeros((), dtype=torch.int64)
        for person, own, near in zip(people.tolist(), members, cosines.gt_(reach), strict=True):
            rows = near.nonzero()[:, 0]
            rows = rows[(identity[rows] > person) | (far[rows] & (identity[rows] < person))]
            if len(rows) < MOST * len(x):
                pairs += (own @ x[rows].T > self.cosine).sum()
            else:
                pairs += (own @ x.T > self.cosine)[:, rows].sum()
        return pairs

    def _both_far(self, tile: slice, other: slice) -> Tensor:
        one, two = (self._rows(tile) @ self._rows(other).T > self.cosine).nonzero().T
        identity, other_identity = (self._on_device(self.identity[part]) for part in (tile, other))
        once = one + tile.start < two + other.start
        return (once & (identity[one] != other_identity[two])).sum()

    def _rows(self, part: slice) -> Tensor:
        return self._on_device(self.faces.unit(self.images[part]))

    def _end(self, begin: int) -> int:
        return min(begin + BLOCK, self.inside)

    def _block(self, begin: int) -> Tensor:
        """Return the rows of a block of cones, those of the last call where it is the same."""
        if self.block[0] != begin:
            self.block = begin, self._rows(slice(begin, self._end(begin)))
        return self.block[1]

    @staticmethod
    def _on_device(x: np.ndarray) -> Tensor:
        return torch.from_numpy(x).to(device())
