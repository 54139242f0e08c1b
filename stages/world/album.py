"""An album: people of one population photographed in one domain."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from stages.common.shards import Provenance, Roster
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


def portraits(split: str, seed: int, identities: int, depth: int, domain: str, spread: float) -> Album:
    """Return `depth` images of each of the first `identities` people of a population, in random styles."""
    return photographed(Roster(split, seed, domain, np.full(identities, depth)), slice(None), spread)


def photographed(people: Roster, part: slice, spread: float) -> Album:
    """Return a slice of the images of the population that a roster's split and seed name, in random styles."""
    rows = people[part]
    person, image = np.unique(rows.identity, return_inverse=True)
    z = identity.sample(people.split, people.seed, person)
    return Album(z[image], style.sample(rows.seed, people.domain, spread), rows)
