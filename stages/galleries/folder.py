"""The user's images under `gallery.path`, one an identity: aligned faces, or full-size pictures to be aligned."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from stages.common import images, params
from stages.common.errors import InputError
from stages.common.params import below_data
from stages.common.shards import Drawn, Roster
from stages.common.world import World
from stages.foreign import alignment, photographs
from stages.foreign.alignment import Aligner
from stages.formats import layouts
from stages.formats.files import Files, Names
from stages.settings.gallery import Gallery

DOMAIN = "external"


@dataclass(frozen=True)
class Folder:
    """Image files, read when their rows are drawn."""

    files: Files
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


def in_turns(files: Files) -> np.ndarray:
    """Return the numbers (n,) of images in turns: the first of every person, then the second of every person, ...

    So the first images show different people. A person is a folder right under the root, or any folder if it is unclear
    which folders are people.
    """
    depth = 1 if layouts.unclear(files) is None else None
    count: Counter[Names] = Counter()

    def turn(person: Names) -> int:
        count[person] += 1
        return count[person]

    turns = np.fromiter((turn(folders[:depth]) for folders in files.folders()), np.int32, len(files))
    return np.argsort(turns, kind="stable")


def load(cfg: Gallery, world: World) -> Folder:
    """Return the first `identities` images; raises InputError when there are fewer."""
    root = below_data(cfg.path)
    if not root.is_dir():
        raise InputError(
            params.FILE, "no such folder", key="gallery.path", value=cfg.path, allowed="a folder of images"
        )
    files = layouts.walk(root, layouts.IMAGES)
    if len(files) < cfg.identities:
        allowed = f"at most the {len(files)} images in {root}"
        raise InputError(params.FILE, key="gallery.identities", value=cfg.identities, allowed=allowed)
    rows = Roster("gallery-folder", cfg.seed, DOMAIN, np.ones(cfg.identities, np.int64), world.photo_frame_px)
    first = files.take(in_turns(files)[: cfg.identities])
    return Folder(first, rows, world, None if cfg.aligned else alignment.load(world), files.skipped)
