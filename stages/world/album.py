"""An album: people of one population photographed in one domain."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from stages.common import shards
from stages.common.shards import Provenance
from stages.world import identity, render, style


@dataclass(frozen=True)
class Album:
    """Who is on each of b images and how: z (b, IDENTITY_DIM) and style (b, STYLE_DIM) beside the provenance."""

    z: Tensor
    style: Tensor
    rows: Provenance

    def faces(self, part: slice, size_px: int) -> np.ndarray:
        """Return the rendered faces of a slice of rows, uint8 (b, size_px, size_px, 3) RGB."""
        rows = self.rows
        return render.photograph(self.z[part], self.style[part], rows.seed[part], rows.domain, size_px)

    def write(self, prefix: str, folder: Path, size_px: int) -> None:
        """Render all into image shards, all ranks together."""
        shards.draw(prefix, self.rows, lambda part: self.faces(part, size_px), folder)


def portraits(split: str, seed: int, identities: int, depth: int, domain: str, spread: float) -> Album:
    """Return `depth` images of each of the first `identities` people of a population, in random styles."""
    person, index = (grid.ravel() for grid in np.mgrid[:identities, :depth])
    seeds = shards.image_seeds(split, seed, person, index)
    z = identity.sample(split, seed, range(identities))
    return Album(z[person], style.sample(seeds, domain, spread), Provenance(domain, person, index, seeds))
