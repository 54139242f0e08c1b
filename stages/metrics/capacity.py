"""How many identities fit before one is taken for another: what a verification threshold means for a whole gallery.

N people are enrolled with one image each. A probe of one of them is confused when it matches somebody else. With more
people, more probes are; the capacity is the largest N at which their share stays below what one allows. Sets of N are
all equally likely subsets of the people measured, so the expected share is exact (a hypergeometric law), not a
simulation. Compare the capacity of Razeghi (arXiv 2604.10641), which is an ideal packing's.
"""

import numpy as np
from scipy.special import gammaln

from stages.metrics import cluster_means


def threshold(x: np.ndarray, identity: np.ndarray, false_match_rate: float) -> tuple[float, float]:
    """Return the cosine that a share `false_match_rate` of impostor pairs exceeds, and the share of genuine pairs.

    x: unit rows (b, d) of unrelated people; identity: whom they show (b,).
    """
    cosine = x @ x.T
    above = np.triu(np.ones(cosine.shape, bool), 1)
    same = identity[:, None] == identity[None]
    found = float(np.quantile(cosine[above & ~same], 1 - false_match_rate))
    return found, float((cosine[above & same] > found).mean())


def confusions(x: np.ndarray, identity: np.ndarray, index: np.ndarray, cosine: float) -> tuple[np.ndarray, np.ndarray]:
    """Return for each probe (p,) how many other people's enrolled images it matches above `cosine`, and whom it shows.

    x: unit rows (b, d); of each identity (b,), the image with index (b,) 0 is enrolled and the others are probes.
    """
    enrolled = index == 0
    match = x[~enrolled] @ x[enrolled].T > cosine
    other = identity[~enrolled][:, None] != identity[enrolled][None]
    return (match & other).sum(1), identity[~enrolled]


def confused(count: np.ndarray, people: int, sizes: np.ndarray) -> np.ndarray:
    """Return each probe's chance (p, k) to match somebody else among itself and N - 1 of the others, N in sizes (k,).

    count (p,): how many of the `people` - 1 others it matches.
    """
    others, drawn = people - 1, sizes[None] - 1
    free = np.maximum(others - count[:, None], 0)
    missed = _log_choose(free, drawn) - _log_choose(np.full_like(free, others), drawn)
    return 1 - np.where(drawn > free, 0, np.exp(missed))


def _log_choose(n: np.ndarray, k: np.ndarray) -> np.ndarray:
    return gammaln(n + 1.0) - gammaln(k + 1.0) - gammaln(np.maximum(n - k, 0) + 1.0)


def curve(count: np.ndarray, probe: np.ndarray, people: int, seed: int) -> np.ndarray:
    """Return the share of confused probes among N = 2 ... people identities: rows of value, low and high (N - 1, 3).

    count, probe (p,) are those of `confusions`; the 95 % interval resamples the probes' identities.
    """
    return cluster_means.means(confused(count, people, np.arange(2, people + 1)), probe, seed)


def fitting(share: np.ndarray, allowed: float) -> int:
    """Return the largest N whose share of confused probes (N = 2, 3, ...) is at most `allowed`.

    1 where two are too many; where all fit, as many as were measured, and more might.
    """
    beyond = np.flatnonzero(share > allowed)
    return int(beyond[0] if len(beyond) else len(share)) + 1
