"""How many dimensions a set of embeddings fills."""

import numpy as np


def participation_ratio(x: np.ndarray) -> float:
    """Return (sum l)^2 / sum l^2 of the eigenvalues l of the covariance of rows x (n, d).

    It is d for a ball and k for a ball in k of the dimensions. It is always below the number of points n, so it says
    little unless n is several times as large.
    """
    centred = x - x.mean(0)
    covariance = centred.T @ centred
    return float(np.trace(covariance) ** 2 / np.square(covariance).sum())
