"""Take identities from the gallery as they are: the baseline without packing."""

import numpy as np

from stages.common.errors import InputError
from stages.common.streams import stream
from stages.settings.pack import Pack


def sample(x_ref: np.ndarray, norms: np.ndarray, cfg: Pack) -> tuple[np.ndarray, np.ndarray]:
    """Return m distinct random rows of x_ref (n, d) and their norms; raises InputError when m > n."""
    if cfg.identities > len(x_ref):
        allowed = f"at most {len(x_ref)}, the size of the gallery, with pack.method = 'gallery'"
        raise InputError("params.yaml", key="pack.identities", value=cfg.identities, allowed=allowed)
    order = stream("packing", cfg.seed).permutation(len(x_ref))[: cfg.identities]
    return x_ref[order], norms[order].astype(np.float32)
