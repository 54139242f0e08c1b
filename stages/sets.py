"""Make one training set that the generator did not make.

reads   params sets.NAME, world; for backend `folder` the user's images: one folder per person
writes  data/sets/NAME/faces-*.arrow
"""

from pathlib import Path

import numpy as np

from stages.common import images, params, photographs, ranks, shards, stage
from stages.common.shards import Provenance
from stages.settings.sets import Sets
from stages.settings.world import World
from stages.world import album

IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp"}


def embedded(name: str, cfg: Sets, world: World, folder: Path) -> None:
    """Render people of this set's own population in the `wild` domain."""
    faces = album.portraits(f"sets-{name}", cfg.seed, cfg.identities, cfg.images, "wild", world.wild_spread)
    faces.write("faces", folder, world.size_px)


def from_folder(name: str, cfg: Sets, world: World, folder: Path) -> None:
    """Read the user's aligned faces: the first `images` of the first `identities` folders, in the order of names.

    Raises ValueError when the folder is missing, holds fewer people than asked for or an unreadable image.
    """
    root = Path(cfg.path)
    if not root.is_dir():
        raise ValueError(f"params.yaml: sets.{name}.path = {cfg.path!r}: no such folder")
    people = sorted(person for person in root.iterdir() if person.is_dir())
    if len(people) < cfg.identities:
        raise ValueError(f"params.yaml: sets.{name}.identities = {cfg.identities}; {root} holds {len(people)} folders")
    files = [
        (i, j, file) for i, person in enumerate(people[: cfg.identities]) for j, file in _faces(person, cfg.images)
    ]
    who, index = np.array([i for i, _, _ in files]), np.array([j for _, j, _ in files])
    rows = Provenance("external", who, index, shards.image_seeds(f"sets-{name}", cfg.seed, who, index))
    shards.draw("faces", rows, lambda p: _read([file for _, _, file in files[p]], world), folder)


def _faces(person: Path, images_: int) -> list[tuple[int, Path]]:
    return list(enumerate(sorted(f for f in person.iterdir() if f.suffix.lower() in IMAGE_SUFFIXES)[:images_]))


def _read(files: list[Path], world: World) -> np.ndarray:
    faces = [photographs.framed(images.decode(f.read_bytes(), str(f)), world.photo_frame_px) for f in files]
    return np.concatenate([images.resize(face[None], world.size_px) for face in faces])


def main() -> str:
    """Run the stage for the set named on the command line."""
    name = stage.argument("NAME, a key of `sets`")
    cfg, world = params.load(f"sets.{name}", Sets), params.load("world", World)
    make = {"embedded": embedded, "folder": from_folder}[cfg.backend]
    inputs = [Path(cfg.path)] if cfg.backend == "folder" else []
    with ranks.scratch(f"sets-{name}", cfg, world, *inputs) as folder:
        make(name, cfg, world, folder)
        ranks.publish(folder, f"data/sets/{name}")
    return f"sets {name}: {cfg.identities} identities, at most {cfg.images} images each -> data/sets/{name}"


if __name__ == "__main__":
    stage.run(main)
