"""The user's images under `gallery.path`, one an identity: aligned faces, or full-size pictures to be aligned."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stages.common import images, params
from stages.common.errors import InputError
from stages.common.params import below_data
from stages.common.shards import Drawn, Roster
from stages.common.world import World
from stages.foreign import alignment, photographs
from stages.foreign.alignment import Aligner
from stages.formats import layouts
from stages.settings.gallery import Gallery

DOMAIN = "external"


@dataclass(frozen=True)
class Folder:
    """Image files, read when their rows are drawn."""

    files: list[Path]
    rows: Roster
    world: World
    aligner: Aligner | None
    skipped: int

    def faces(self, part: slice) -> Drawn:
        """Return the faces of a slice of rows; raises ValueError that names a file that is no image."""
        pictures = [images.decode(file.read_bytes(), str(file)) for file in self.files[part]]
        if self.aligner:
            return self.aligner.align(pictures, DOMAIN)
        squares = (photographs.framed(picture, self.world.photo_frame_px) for picture in pictures)
        return np.concatenate([images.resize(square[None], self.world.size_px) for square in squares])


def in_turns(root: Path, files: list[Path]) -> list[Path]:
    """Return images under a folder in turns: the first of every person, then the second of every person, ...

    So the first images show different people. A person is a folder right under `root`, or any folder if it is unclear
    which folders are people.
    """
    clear = layouts.unclear(root, files) is None
    people = [file.relative_to(root).parts[:-1][: 1 if clear else None] for file in files]
    count, turns = Counter(), []
    for file, person in zip(files, people, strict=True):
        turns.append((count[person], file))
        count[person] += 1
    return [file for _, file in sorted(turns)]


def load(cfg: Gallery, world: World) -> Folder:
    """Return the first `identities` images; raises InputError when there are fewer."""
    root = below_data(cfg.path)
    if not root.is_dir():
        raise InputError(
            params.FILE, "no such folder", key="gallery.path", value=cfg.path, allowed="a folder of images"
        )
    images_below, skipped = layouts.walk(root, layouts.IMAGES)
    files = in_turns(root, images_below)
    if len(files) < cfg.identities:
        allowed = f"at most the {len(files)} images in {root}"
        raise InputError(params.FILE, key="gallery.identities", value=cfg.identities, allowed=allowed)
    rows = Roster("gallery-folder", cfg.seed, DOMAIN, np.ones(cfg.identities, np.int64), world.photo_frame_px)
    return Folder(files[: cfg.identities], rows, world, None if cfg.aligned else alignment.load(world), skipped)
