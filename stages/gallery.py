"""Make the initial faces.

reads   params gallery, world; the backend's files; the world's face detector, if there is one
writes  data/gallery/faces-*.arrow   n image shards rows, one face of each identity
"""

from stages import formats, galleries
from stages.common import params, ranks, shards, stage
from stages.common.world import World
from stages.foreign import alignment
from stages.settings.gallery import Gallery


def main() -> str:
    """Run the stage."""
    cfg, world = params.load("gallery", Gallery), params.load("world", World)
    initial = galleries.load(cfg, world)
    with ranks.kept("gallery") as folder:
        shards.draw("faces", initial.rows, initial.faces, folder)
        ranks.publish(folder, "data/gallery")
    if ranks.rank() > 0:
        return ""
    notes = alignment.fixed_crops("data/gallery") + formats.files_skipped(initial.skipped)
    return f"gallery: {cfg.identities} initial faces{notes} -> data/gallery"


if __name__ == "__main__":
    stage.run(main)
