"""Draw identities uniformly on the sphere, ignoring the face manifold."""

import numpy as np

from stages.common import sphere
from stages.common.streams import stream
from stages.packing import median_norms
from stages.settings.pack import Pack


def sample(x_ref: np.ndarray, norms: np.ndarray, cfg: Pack) -> tuple[np.ndarray, np.ndarray]:
    """Return m uniform unit rows (m, d) at the gallery's median norm."""
    rng = stream("packing", cfg.seed)
    x = rng.standard_normal((cfg.identities, x_ref.shape[1]))
    return sphere.unit_rows(x), median_norms(norms, cfg.identities)
