"""One studio portrait of each of n people of the face world."""

from dataclasses import dataclass

import numpy as np

from stages.common.shards import Roster
from stages.common.world import World
from stages.settings.gallery import Gallery
from stages.world import album

SPLIT = "gallery"  # a population of its own: nobody here is in a set, a benchmark or pretraining


@dataclass(frozen=True)
class Portraits:
    """People at the world's size, in random styles of its spread."""

    rows: Roster
    world: World
    skipped: int = 0

    def faces(self, part: slice) -> np.ndarray:
        """Return the rendered faces of a slice of rows, uint8 (b, size_px, size_px, 3) RGB."""
        portraits = album.photographed(self.rows, part, self.world.spread.studio)
        return portraits.faces(slice(None), self.world.size_px)


def load(cfg: Gallery, world: World) -> Portraits:
    """Return the gallery's people."""
    return Portraits(Roster(SPLIT, cfg.seed, "studio", np.ones(cfg.identities, np.int64)), world)
