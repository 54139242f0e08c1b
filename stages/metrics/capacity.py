"""How many identities fit before one is taken for another: what a verification threshold means for a whole gallery.

N people are enrolled with one image each. A probe of one of them is confused when it matches somebody else. The more
people, the more probes are confused; the capacity is the largest N at which their share stays below a limit. Every set
of N of the people measured is equally likely, so the expected share is exact (a hypergeometric law) and needs no
simulation. Razeghi's capacity (arXiv 2604.10641; `bounds.capacity`) is that of an ideal packing.
"""

import numpy as np
from scipy.special import gammaln

from stages.metrics import cluster_means
from stages.metrics.faces import Faces

EXACT, STEPS = 4096, 100_000  # images of which all cosines are held; beyond, steps of a histogram for a cosine of one
SHARES = 1 << 22  # of confused probes, computed at a time: 34 MB


def threshold(faces: Faces, false_match_rate: float) -> tuple[float, float]:
    """Return the cosine that a share `false_match_rate` of impostor pairs exceeds, and the share of genuine pairs.

    faces: images of unrelated people. Of more than EXACT, all pairs are still counted, but the cosine is that of a
    histogram, at most 1 / STEPS too high.
    """
    if len(faces) > EXACT:
        return _counted_threshold(faces, false_match_rate)
    x, identity = faces.unit(np.arange(len(faces))), faces.identity
    cosines = x @ x.T
    above = np.triu(np.ones(cosines.shape, bool), 1)
    same = identity[:, None] == identity[None]
    cosine = float(np.quantile(cosines[above & ~same], 1 - false_match_rate))
    return cosine, float((cosines[above & same] > cosine).mean())


def _counted_threshold(faces: Faces, false_match_rate: float) -> tuple[float, float]:
    impostors, genuine = np.zeros((2, 2 * STEPS + 3), np.int64)
    for part, x in faces.parts():
        for other, y in faces.parts():
            if other.start < part.start:
                continue
            place = np.ceil((x @ y.T).clip(-1, 1) * STEPS).astype(np.int64) + STEPS  # (part, part)
            earlier = np.arange(part.start, part.stop)[:, None] < np.arange(other.start, other.stop)
            same = faces.identity[part, None] == faces.identity[None, other]
            impostors += np.bincount(place[earlier & ~same], minlength=len(impostors))
            genuine += np.bincount(place[earlier & same], minlength=len(genuine))
    at = int(np.searchsorted(impostors.cumsum(), (1 - false_match_rate) * impostors.sum()))
    return (at - STEPS) / STEPS, float(genuine[at + 1 :].sum() / genuine.sum())


def confusions(faces: Faces, index: np.ndarray, cosine: float) -> tuple[np.ndarray, np.ndarray]:
    """Return for each probe (p,) how many other people's enrolled images it matches above `cosine`, and whom it shows.

    Of each identity the image with index (b,) 0 is enrolled, and the others are probes.
    """
    enrolled = np.flatnonzero(index == 0)
    x_enrolled, whom, probe = faces.unit(enrolled), faces.identity[enrolled], index != 0

    def matches(x: np.ndarray, identity: np.ndarray) -> np.ndarray:
        return ((x @ x_enrolled.T > cosine) & (identity[:, None] != whom)).sum(1)

    return faces.each(matches)[probe], faces.identity[probe]


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

    count, probe (p,) are those of `confusions`; the 95 % interval resamples the probes' identities. Probes that match
    equally many others have the same share, so that those of many are added before they are multiplied.
    """
    sizes = np.arange(2, people + 1)
    if len(count) * len(sizes) <= SHARES:
        return cluster_means.means(confused(count, people, sizes), probe, seed)
    counts, kind = np.unique(count, return_inverse=True)
    kinds, rows = cluster_means.Kinds(kind, probe, seed), max(len(counts), cluster_means.REPLICATES)
    blocks = np.array_split(sizes, -(-rows * len(sizes) // SHARES))
    return np.concatenate([kinds.means(confused(counts, people, block)) for block in blocks])


def fitting(share: np.ndarray, limit: float) -> int:
    """Return the largest N whose share of confused probes (N = 2, 3, ...) is at most `limit`.

    It is 1 where two are too many. Where all that were measured fit, it is their number, though more might fit.
    """
    beyond = np.flatnonzero(share > limit)
    return int(beyond[0] if len(beyond) else len(share)) + 1
