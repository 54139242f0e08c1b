"""Initial faces: where the gallery's images come from. One backend a file, named as in params.yaml.

A backend takes settings and what lies at `gallery.path`, and returns faces uint8 (n, s, s, 3) RGB, s = `world.size_px`,
one of each of n identities, with their provenance; `embed` turns them into rows. To add one, keep the Protocol
`Initial`, give its module a `load`, and add its name to `Gallery.backend` in stages/settings/gallery.py. What it
imports of ours goes into the `deps` of `gallery`, and its tests into tests/galleries.
"""

from importlib import import_module
from typing import Protocol

from stages.common.shards import Drawn, Rows
from stages.common.world import World
from stages.settings.gallery import Gallery


class Initial(Protocol):
    """Faces of n identities, one image of each.

    rows: who is on which, known before any is drawn; skipped: how many files lie there that are no image.
    """

    rows: Rows
    skipped: int

    def faces(self, part: slice) -> Drawn:
        """Return the faces uint8 (b, size_px, size_px, 3) RGB of a slice of rows; face i depends on row i alone."""
        ...


def load(cfg: Gallery, world: World) -> Initial:
    """Load `stages/galleries/BACKEND.py`; raises InputError when a file that it reads is missing or wrong."""
    return import_module(f"stages.galleries.{cfg.backend}").load(cfg, world)
