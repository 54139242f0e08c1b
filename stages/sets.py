"""Make one training set that the generator did not make.

reads   params sets.NAME, world; for backends other than `embedded` the user's set, and the world's face detector, if
        there is one and the set is not aligned
writes  data/sets/NAME/faces-*.arrow
"""

from pathlib import Path

import numpy as np

from stages import formats
from stages.common import catalogue, images, params, ranks, shards, stage
from stages.common.errors import InputError
from stages.common.shards import Drawn, Encoded, Roster
from stages.common.world import World
from stages.foreign import alignment, photographs
from stages.formats import training_sets
from stages.settings.sets import Sets
from stages.world import album


def embedded(name: str, cfg: Sets, world: World, folder: Path) -> str:
    """Render people of this set's own population in the `wild` domain; returns an empty note."""
    people = Roster(f"sets-{name}", cfg.seed, "wild", np.full(cfg.identities, cfg.images))

    def faces(part: slice) -> Drawn:
        return album.photographed(people, part, world.spread.wild).faces(slice(None), world.size_px)

    shards.draw("faces", people, faces, folder)
    return ""


def on_disk(name: str, cfg: Sets, world: World, folder: Path) -> str:
    """Read the user's faces: the first `images` of the first `identities` people, in the order of the format.

    Returns how many files were skipped, as the end of a line. Raises InputError when the set is missing or broken, has
    fewer people than params ask for, or holds an unreadable image.
    """
    faces = training_sets.READERS[cfg.backend](params.below_data(cfg.path))
    people, number = int(faces.identity.max()) + 1, catalogue.index_within(faces.identity)
    if people < cfg.identities:
        allowed = f"at most {people}, the people in {cfg.path}"
        raise InputError(params.FILE, key=f"sets.{name}.identities", value=cfg.identities, allowed=allowed)
    selected = np.flatnonzero((faces.identity < cfg.identities) & (number < cfg.images))
    selected = selected[np.argsort(faces.identity[selected], kind="stable")]
    depth = np.bincount(faces.identity[selected])
    rows = Roster(f"sets-{name}", cfg.seed, "external", depth, world.photo_frame_px)
    aligner = None if cfg.aligned else alignment.load(world)

    def stored(part: slice) -> Drawn | Encoded:
        encoded = [(faces.encoded(row), faces.source(row)) for row in selected[part].tolist()]
        if aligner:
            return aligner.encoded((images.decode(*photograph) for photograph in encoded), "external")
        return [photographs.square_bytes(*photograph, framed, world.size_px, faces.size) for photograph in encoded]

    def framed(photograph: np.ndarray) -> np.ndarray:
        return photographs.framed(photograph, world.photo_frame_px)

    shards.draw("faces", rows, stored, folder)
    return formats.files_skipped(faces.skipped)


def main() -> str:
    """Run the stage for the set named on the command line."""
    name = stage.name("NAME, a key of `sets`")
    cfg, world = params.load(f"sets.{name}", Sets), params.load("world", World)
    make = embedded if cfg.backend == "embedded" else on_disk
    with ranks.kept(f"sets@{name}") as folder:
        passed = make(name, cfg, world, folder)
        ranks.publish(folder, f"data/sets/{name}")
    if ranks.rank() > 0:
        return ""
    notes = alignment.fixed_crops(f"data/sets/{name}") + passed
    return f"sets {name}: {cfg.identities} identities, at most {cfg.images} images each{notes} -> data/sets/{name}"


if __name__ == "__main__":
    stage.run(main)
