"""Draw identities from a Gaussian fitted to the gallery, none too close to another (Vec2Face, arXiv 2409.02979).

The paper's public code fits a PCA with as many components as dimensions, which is a Gaussian with full covariance. It
drops a draw that is too similar to one that it has kept. Vectors have their native norm throughout.
"""

import numpy as np

from stages.common.errors import InputError
from stages.common.streams import stream
from stages.packing import fitted_gaussian
from stages.settings.pack import Pack

DRAWS_PER_IDENTITY = 100
BATCH = 256


def sample(x_ref: np.ndarray, norms: np.ndarray, cfg: Pack) -> tuple[np.ndarray, np.ndarray]:
    """Return m unit rows (m, d) with pairwise cosines of at most cfg.max_cosine, and their drawn norms.

    Raises InputError when 100 draws per identity do not yield m such rows.
    """
    gallery, rng = fitted_gaussian.fit(x_ref, norms), stream("packing", cfg.seed)
    x, lengths = np.empty((0, x_ref.shape[1]), np.float32), np.empty(0, np.float32)
    for _ in range(-(-cfg.identities * DRAWS_PER_IDENTITY // BATCH)):
        unit, norm = fitted_gaussian.draw(gallery, BATCH, rng)
        accepted = _apart(unit, x, cfg.max_cosine)
        x, lengths = np.concatenate([x, unit[accepted]]), np.concatenate([lengths, norm[accepted]])
        if len(x) >= cfg.identities:
            return x[: cfg.identities], lengths[: cfg.identities]
    problem = f"{DRAWS_PER_IDENTITY} draws for each of pack.identities = {cfg.identities} gave only {len(x)}"
    allowed = "more, or fewer identities"
    raise InputError("params.yaml", problem, key="pack.max_cosine", value=cfg.max_cosine, allowed=allowed)


def _apart(draws: np.ndarray, accepted: np.ndarray, max_cosine: float) -> np.ndarray:
    """Return which draws (b, d) to keep, one after the other, each apart from all accepted and kept ones."""
    kept: list[int] = []
    distant = (draws @ accepted.T).max(axis=1, initial=-1) <= max_cosine
    cos = draws @ draws.T  # (b, b)
    for i in np.flatnonzero(distant):
        if cos[i, kept].max(initial=-1) <= max_cosine:
            kept.append(int(i))
    return np.array(kept, int)
