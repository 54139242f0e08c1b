"""Draw identities from a Gaussian fitted to the gallery, none too close to another (Vec2Face, arXiv 2409.02979).

Their public code fits a PCA with as many components as dimensions, which is a Gaussian with full covariance, and drops
a draw that is too similar to one already kept. Vectors have their native norm throughout.
"""

import numpy as np

from stages.packing import fitted_gaussian
from stages.settings.pack import Pack

DRAWS_PER_IDENTITY = 100
BATCH = 256


def sample(x_ref: np.ndarray, norms: np.ndarray, cfg: Pack) -> tuple[np.ndarray, np.ndarray]:
    """Return m unit rows (m, d) with pairwise cosines of at most cfg.max_cosine, and their drawn norms.

    Raises ValueError when 100 draws per identity do not hold m such rows.
    """
    gallery, rng = fitted_gaussian.fit(x_ref, norms), np.random.default_rng(cfg.seed)
    x, lengths = np.empty((0, x_ref.shape[1]), np.float32), np.empty(0, np.float32)
    for _ in range(-(-cfg.identities * DRAWS_PER_IDENTITY // BATCH)):
        unit, norm = fitted_gaussian.draw(gallery, BATCH, rng)
        kept = _apart(unit, x, cfg.max_cosine)
        x, lengths = np.concatenate([x, unit[kept]]), np.concatenate([lengths, norm[kept]])
        if len(x) >= cfg.identities:
            return x[: cfg.identities], lengths[: cfg.identities]
    raise ValueError(
        f"pack.method = 'gaussian' reached {len(x)} of pack.identities = {cfg.identities} at pack.max_cosine ="
        f" {cfg.max_cosine:g} in {DRAWS_PER_IDENTITY} draws each; raise max_cosine or lower identities"
    )


def _apart(draws: np.ndarray, accepted: np.ndarray, max_cosine: float) -> np.ndarray:
    """Return which draws (b, d) to keep, one after the other, each apart from all accepted and kept ones."""
    kept: list[int] = []
    free = (draws @ accepted.T).max(axis=1, initial=-1) <= max_cosine
    cos = draws @ draws.T  # (b, b)
    for i in np.flatnonzero(free):
        if cos[i, kept].max(initial=-1) <= max_cosine:
            kept.append(int(i))
    return np.array(kept, int)
