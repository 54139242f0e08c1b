"""A Gaussian fitted to the gallery at native norm, as in Vec2Face (arXiv 2409.02979), and draws from it."""

from dataclasses import dataclass

import numpy as np

from stages.common import sphere


@dataclass(frozen=True)
class Normal:
    """A mean (d,) and a root (d, d) of the covariance: mean + n @ root with standard normal n (d,)."""

    mean: np.ndarray
    root: np.ndarray


def fit(x_ref: np.ndarray, norms: np.ndarray) -> Normal:
    """Fit to unit rows (n, d) at their native norms (n,), also where the covariance is singular (n <= d)."""
    native = x_ref * norms[:, None]
    mean = native.mean(axis=0, dtype=np.float64)
    centred = native - mean
    values, vectors = np.linalg.eigh(centred.T @ centred / max(len(native) - 1, 1))
    return Normal(mean, np.sqrt(np.clip(values, 0, None))[:, None] * vectors.T)


def draw(fitted: Normal, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return unit rows (count, d) and their norms (count,), float32."""
    native = fitted.mean + rng.standard_normal((count, len(fitted.mean))) @ fitted.root
    return sphere.unit_rows(native), np.linalg.norm(native, axis=1).astype(np.float32)
