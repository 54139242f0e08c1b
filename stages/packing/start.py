"""Choose where packing starts: random rows of the gallery."""

import numpy as np

from stages.common import sphere

NEAR = 0.5  # length of the noise beside a gallery row of length one; its cosine to that row is about 0.9


def start(x_ref: np.ndarray, m: int, seed: int) -> np.ndarray:
    """Return m unit rows (m, d) float32: distinct random rows of the gallery x_ref (n, d).

    With m > n every gallery row is taken, and the others are random directions near random gallery rows. So is a row
    that the gallery holds twice: equal rows could never part, for their gradients are equal.
    """
    rng = np.random.default_rng(seed)
    n, d = x_ref.shape
    x = x_ref[np.concatenate([rng.permutation(n)[:m], rng.integers(n, size=max(m - n, 0))])]
    repeated = np.ones(m, bool)
    repeated[np.unique(x, axis=0, return_index=True)[1]] = False
    x[repeated] += (NEAR / np.sqrt(d) * rng.standard_normal((repeated.sum(), d))).astype(np.float32)
    return sphere.unit_rows(x)
