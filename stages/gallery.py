"""Make the initial faces.

reads   params gallery, world
writes  data/gallery/faces-*.arrow   n image shards rows, one face of each identity
"""

from pathlib import Path

from stages.common import params, ranks, stage
from stages.settings.gallery import Gallery
from stages.settings.world import World
from stages.world import album

SPLIT = "gallery"  # a population of its own: nobody here is in a set, a benchmark or pretraining


def gallery(cfg: Gallery, world: World, folder: Path) -> None:
    """Render one studio portrait of each of n people into `folder`."""
    faces = album.portraits(SPLIT, cfg.seed, cfg.identities, 1, "studio", world.studio_spread)
    faces.write("faces", folder, world.size_px)


def main() -> str:
    """Run the stage."""
    cfg, world = params.load("gallery", Gallery), params.load("world", World)
    with ranks.scratch("gallery", cfg, world) as folder:
        gallery(cfg, world, folder)
        ranks.publish(folder, "data/gallery")
    return f"gallery: {cfg.identities} initial faces -> data/gallery"


if __name__ == "__main__":
    stage.run(main)
