"""Embed the initial faces.

reads   data/gallery/   n faces; params embed: the recogniser
writes  data/embed/x_ref.npy (n, d) unit rows, x_ref_norms.npy (n,) their native norms
"""

from functools import partial
from pathlib import Path

import numpy as np

from stages.common import artifacts, embeddings, params, ranks, recognisers, sphere, stage
from stages.common.images import Shards
from stages.common.params import Network

EMBED = Path("data/embed")


def main() -> str:
    """Run the stage."""
    recogniser = recognisers.load(params.load("embed", Network))
    with ranks.kept("embed") as folder:
        pictures = embeddings.stored(Shards("data/gallery"))
        files = embeddings.embed({"x": recogniser}, pictures, folder, "gallery")["x"]
        if ranks.rank() == 0:
            artifacts.join_arrays(folder / "x_ref.npy", files, sphere.unit_rows)
            artifacts.join_arrays(folder / "x_ref_norms.npy", files, partial(np.linalg.norm, axis=1))
        ranks.publish(folder, EMBED)
    native = artifacts.read_array(EMBED / "x_ref_norms.npy")
    size = recogniser.embedding_size
    return f"embed: {len(native)} rows of size {size}, mean norm {native.mean():.1f} -> {EMBED}"


if __name__ == "__main__":
    stage.run(main)
