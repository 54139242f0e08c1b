"""The user's images under `gallery.path`, one an identity: aligned faces, or full-size pictures to be aligned."""

from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np

from stages.common import alignment, images, photographs, shards
from stages.common.alignment import Aligner
from stages.common.shards import Drawn, Provenance
from stages.settings.gallery import Gallery
from stages.settings.world import World

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp"}
DOMAIN = "external"


@dataclass(frozen=True)
class Folder:
    """Image files, read when their rows are drawn."""

    files: list[Path]
    rows: Provenance
    world: World
    aligner: Aligner | None

    def faces(self, part: slice) -> Drawn:
        """Return the faces of a slice of rows; raises ValueError naming a file that is no image."""
        pictures = [images.decode(file.read_bytes(), str(file)) for file in self.files[part]]
        if self.aligner:
            return self.aligner.align(pictures, DOMAIN)
        squares = (photographs.framed(picture, self.world.photo_frame_px) for picture in pictures)
        return np.concatenate([images.resize(square[None], self.world.size_px) for square in squares])


def found(root: Path) -> list[Path]:
    """Return the images anywhere under a folder: of every folder's the first, then of every folder's the second, ...

    Where folders are people, so many images as there are people show different ones.
    """
    files = sorted(file for file in root.rglob("*") if file.suffix.lower() in SUFFIXES)
    turns = [(turn, file) for _, group in groupby(files, lambda f: f.parent) for turn, file in enumerate(group)]
    return [file for _, file in sorted(turns)]


def load(cfg: Gallery, world: World) -> Folder:
    """Return the first `identities` images; raises ValueError when there are fewer."""
    root = Path(cfg.path)
    if not root.is_dir():
        raise ValueError(f"params.yaml: gallery.path = {cfg.path!r}: no such folder; allowed: a folder of images")
    files = found(root)
    if len(files) < cfg.identities:
        raise ValueError(
            f"params.yaml: gallery.identities = {cfg.identities}; allowed: at most the {len(files)} images in {root}"
        )
    who, first = np.arange(cfg.identities), np.zeros(cfg.identities, np.int64)
    seeds = shards.image_seeds("gallery-folder", cfg.seed, who, first)
    rows = Provenance(DOMAIN, who, first, seeds, frame_px=world.photo_frame_px)
    return Folder(files[: cfg.identities], rows, world, None if cfg.aligned else alignment.load(world))
