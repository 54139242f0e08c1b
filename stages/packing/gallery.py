"""Take identities from the gallery as they are: the baseline without packing."""

import numpy as np

from stages.settings.pack import Pack


def sample(x_ref: np.ndarray, norms: np.ndarray, cfg: Pack) -> tuple[np.ndarray, np.ndarray]:
    """Return m distinct random rows of x_ref (n, d) and their norms; raises ValueError when m > n."""
    if cfg.identities > len(x_ref):
        raise ValueError(
            f"pack.identities = {cfg.identities}; allowed with pack.method = 'gallery': at most {len(x_ref)},"
            " the size of the gallery"
        )
    order = np.random.default_rng(cfg.seed).permutation(len(x_ref))[: cfg.identities]
    return x_ref[order], norms[order].astype(np.float32)
