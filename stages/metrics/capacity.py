"""How many identities fit before one is taken for another: what a verification threshold means for a whole gallery.

N people are enrolled with one image each. A probe of one of them is confused when it matches somebody else. The more
people, the more probes are confused; the capacity is the largest N at which their share stays below a limit. Every set
of N of the people measured is equally likely, so the expected share is exact (a hypergeometric law) and needs no
simulation. Razeghi's capacity (arXiv 2604.10641; `bounds.capacity`) is that of an ideal packing.
"""

import numpy as np
from scipy.special import gammaln

from stages.metrics import cluster_means


def threshold(x: np.ndarray, identity: np.ndarray, false_match_rate: float) -> tuple[float, float]:
    """Return the cosine that a share `false_match_rate` of impostor pairs exceeds, and the share of genuine pairs.

    x: unit rows (b, d) of unrelated people; identity: whom they show (b,).
    """
    cosines = x @ x.T
    above = np.triu(np.ones(cosines.shape, bool), 1)
    same = identity[:, None] == identity[None]
    cosine = float(np.quantile(cosines[above & ~same], 1 - false_match_rate))
    return cosine, float((cosines[above & same] > cosine).mean())


def confusions(x: np.ndarray, identity: np.ndarray, index: np.ndarray, cosine: float) -> tuple[np.ndarray, np.ndarray]:
    """Return for each probe (p,) how many other people's enrolled images it matches above `cosine`, and whom it shows.

    x: unit rows (b, d); of each identity (b,), the image with index (b,) 0 is enrolled and the others are probes.
    """
    enrolled = index == 0
    match = x[~enrolled] @ x[enrolled].T > cosine
    another = identity[~enrolled][:, None] != identity[enrolled][None]
    return (match & another).sum(1), identity[~enrolled]


def confused(count: np.ndarray, people: int, sizes: np.ndarray) -> np.ndarray:
    """Return each probe's chance (p, k) to match somebody else among itself and N - 1 of the others, N in sizes (k,).

    count (p,): how many of the `people` - 1 others it matches.
    """
    others, drawn = people - 1, sizes[None] - 1
    unmatched = np.maximum(others - count[:, None], 0)
    missed = _log_choose(unmatched, drawn) - _log_choose(np.full_like(unmatched, others), drawn)
    return 1 - np.where(drawn > unmatched, 0, np.exp(missed))


def _log_choose(n: np.ndarray, k: np.ndarray) -> np.ndarray:
    return gammaln(n + 1.0) - gammaln(k + 1.0) - gammaln(np.maximum(n - k, 0) + 1.0)


def curve(count: np.ndarray, probe: np.ndarray, people: int, seed: int) -> np.ndarray:
    """Return the share of confused probes among N = 2 ... people identities: rows of value, low and high (N - 1, 3).

    count, probe (p,) are those of `confusions`; the 95 % interval resamples the probes' identities.
    """
    return cluster_means.means(confused(count, people, np.arange(2, people + 1)), probe, seed)


def fitting(share: np.ndarray, limit: float) -> int:
    """Return the largest N whose share of confused probes (N = 2, 3, ...) is at most `limit`.

    It is 1 where two are too many. Where all that were measured fit, it is their number, though more might fit.
    """
    beyond = np.flatnonzero(share > limit)
    return int(beyond[0] if len(beyond) else len(share)) + 1
