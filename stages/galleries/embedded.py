"""One studio portrait of each of n people of the face world."""

from dataclasses import dataclass

import numpy as np

from stages.common.shards import Provenance
from stages.common.world import World
from stages.settings.gallery import Gallery
from stages.world import album
from stages.world.album import Album

SPLIT = "gallery"  # a population of its own: nobody here is in a set, a benchmark or pretraining


@dataclass(frozen=True)
class Portraits:
    """An album at the world's size."""

    album: Album
    size_px: int
    skipped: int = 0

    @property
    def rows(self) -> Provenance:
        """Return who is on which image."""
        return self.album.rows

    def faces(self, part: slice) -> np.ndarray:
        """Return the rendered faces of a slice of rows, uint8 (b, size_px, size_px, 3) RGB."""
        return self.album.faces(part, self.size_px)


def load(cfg: Gallery, world: World) -> Portraits:
    """Return the gallery's people."""
    return Portraits(album.portraits(SPLIT, cfg.seed, cfg.identities, 1, "studio", world.spread.studio), world.size_px)
