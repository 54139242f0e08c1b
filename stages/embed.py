"""Embed the initial faces.

reads   data/gallery/   n faces; params embed: the recogniser
writes  data/embed/x_ref.npy (n, d) unit rows, x_ref_norms.npy (n,) their native norms
"""

import sys

import numpy as np
from tqdm import tqdm

from stages.common import artifacts, params, recognisers, sphere, stage
from stages.common.images import Shards
from stages.common.networks import Recogniser
from stages.common.params import Network

PART = 128  # faces between two steps of the progress bar, a multiple of every recogniser's chunk


def embed(shards: Shards, recogniser: Recogniser) -> tuple[np.ndarray, np.ndarray]:
    """Return unit rows (n, d) and native norms (n,) of the n faces of the shards."""
    rows = np.arange(len(shards))
    starts = tqdm(range(0, len(rows), PART), "embed", mininterval=1, ncols=80, file=sys.stdout)
    faces = (shards.faces(rows[start : start + PART]) for start in starts)
    x = np.concatenate([recogniser.embed(part, shards.frame_px) for part in faces])
    return sphere.unit_rows(x), np.linalg.norm(x, axis=1)


def main() -> str:
    """Run the stage."""
    recogniser = recognisers.load(params.load("embed", Network))
    x_ref, norms = embed(Shards("data/gallery"), recogniser)
    with artifacts.output_folder("data/embed") as folder:
        artifacts.write_rows(folder, "x_ref", x_ref, norms)
    return f"embed: {len(x_ref)} rows of size {x_ref.shape[1]}, mean norm {norms.mean():.1f} -> data/embed"


if __name__ == "__main__":
    stage.run(main)
