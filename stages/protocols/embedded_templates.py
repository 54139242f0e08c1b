"""The embedded benchmark of templates, in the manner of IJB: stills and videos of few rendered people.

Each person has four templates: one to enrol (a still and a video), and three probes (a still; a video; both). The
frames of a video differ in pose and expression alone. Two separate galleries enrol three eighths of the people each,
and a quarter is in neither. One enrolled template and one probe, of whomever, are a comparison.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from stages.common import tables
from stages.common.shards import Roster, image_seeds
from stages.common.templates import COMPARISONS, IMAGES, PROBES, SEARCHES
from stages.common.world import World
from stages.settings.benchmarks import Benchmarks
from stages.world import style
from stages.world.album import Album, photographed

NAME = "ijb"
TEMPLATE = np.array([0, 0, 0, 1, 2, 2, 2, 3, 3, 3])  # of each of a person's images; the first one is enrolled
FIRST = np.array([0, 1, 1, 3, 4, 4, 4, 7, 8, 8])  # the first image of its media
MOVES = ("pose", "expression")  # in a video
GALLERIES = {"G1": (0, 3), "G2": (3, 6)}  # eighths of the people


@dataclass(frozen=True)
class Videos:
    """Images of people, of which those of one media share all but pose and expression."""

    people: Roster
    spread: float

    def album(self, part: slice) -> Album:
        """Return the images of a slice."""
        album, people = photographed(self.people, part, self.spread), self.people
        identity, index = people.who(part)
        first = image_seeds(people.split, people.seed, identity, FIRST[index])
        still = [column for group, own in style.GROUPS.items() if group not in MOVES for column in own]
        album.style[:, still] = style.sample(first, people.domain, self.spread)[:, still]
        return album


def make(cfg: Benchmarks, world: World) -> tuple[Videos, pa.Table, dict[str, pa.Table]]:
    """Return the images, the table of their templates, and by evaluator the table of what is compared or searched."""
    m, kinds = cfg.templates, TEMPLATE.max() + 1
    people = Roster(f"benchmarks-{NAME}", cfg.seed, "wild", np.full(m, len(TEMPLATE)))
    identity, index = people.who(slice(None))
    of_images = {
        "template": identity * kinds + TEMPLATE[index],
        "media": identity * len(TEMPLATE) + FIRST[index],
        "score": np.ones(len(people)),  # rendered faces need no detector
    }
    templates = np.arange(m * kinds).reshape(m, kinds)
    enrolled, probes = templates[:, 0], templates[:, 1:].ravel()
    a, b = (side.ravel() for side in np.meshgrid(enrolled, probes, indexing="ij"))
    lists = {name: enrolled[start * m // 8 : stop * m // 8] for name, (start, stop) in GALLERIES.items()}
    lists[PROBES] = probes
    return (
        Videos(people, world.spread.wild),
        tables.of(IMAGES, of_images),
        {
            "templates": tables.of(COMPARISONS, {"a": a, "b": b, "same": a // kinds == b // kinds}),
            "open_set": tables.of(
                SEARCHES,
                {
                    "template": np.concatenate(list(lists.values())),
                    "list": np.repeat(list(lists), list(map(len, lists.values()))),
                },
            ),
        },
    )
