"""Embed the initial faces.

reads   data/gallery/   n faces
writes  data/embed/x_ref.npy (n, d) unit rows, x_ref_norms.npy (n,) their native norms
"""

import numpy as np

from stages import recognisers
from stages.common import artifacts, params, sphere, stage
from stages.common.images import Shards
from stages.recognisers import Recogniser
from stages.settings.embed import Embed


def embed(faces: np.ndarray, recogniser: Recogniser) -> tuple[np.ndarray, np.ndarray]:
    """Return unit rows (n, d) and native norms (n,) of faces (n, h, w, 3)."""
    x = recogniser.embed(faces)
    return sphere.unit_rows(x), np.linalg.norm(x, axis=1)


def main() -> str:
    """Run the stage."""
    cfg = params.load("embed", Embed)
    recogniser = recognisers.load(cfg.recogniser, cfg.weights, cfg.card)
    x_ref, norms = embed(Shards("data/gallery").faces(), recogniser)
    with artifacts.output_folder("data/embed") as folder:
        artifacts.write_rows(folder, "x_ref", x_ref, norms)
    return f"embed: {len(x_ref)} rows of size {x_ref.shape[1]}, mean norm {norms.mean():.1f} -> data/embed"


if __name__ == "__main__":
    stage.run(main)
