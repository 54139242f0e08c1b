"""Search in a gallery: ranks in a closed set, TPIR at FPIR in an open one (ISO/IEC 19795-1; Grother, NISTIR 8271).

A probe is mated when its person is in the gallery. Its rank is one more than the number of other people's gallery
templates that score as high as its best mate or higher. In an open set a probe is identified when its rank is 1 and its
mate scores above the threshold; a probe without a mate raises a false alarm when anybody scores above it. Replicates
weigh the people of the probes; the gallery stays as it is, so intervals are about other probes searched in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stages.common import verification

PROBES, GALLERY = 1024, 16_384  # rows whose scores are in memory at a time


@dataclass(frozen=True)
class Search:
    """What q probes found: the score of the best mate, minus infinity without one, and of the best other; the rank.

    enrolled: templates of the gallery.
    """

    mate: np.ndarray
    other: np.ndarray
    rank: np.ndarray
    enrolled: int

    @property
    def mated(self) -> np.ndarray:
        """Return which probes have a mate, (q,)."""
        return np.isfinite(self.mate)


def search(probes: np.ndarray, gallery: np.ndarray, person: np.ndarray, enrolled: np.ndarray) -> Search:
    """Return what unit rows of probes (q, d) of people (q,) find among those of a gallery (g, d) of people (g,)."""
    parts = []
    for start in range(0, len(probes), PROBES):
        rows = slice(start, start + PROBES)
        parts.append(_search(probes[rows], gallery, person[rows], enrolled))
    return Search(*(np.concatenate(column) for column in zip(*parts, strict=True)), enrolled=len(gallery))


def _search(
    probes: np.ndarray, gallery: np.ndarray, person: np.ndarray, enrolled: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    mate, other = np.full((2, len(probes)), -np.inf, np.float32)
    blocks = [slice(start, start + GALLERY) for start in range(0, len(gallery), GALLERY)]
    for block in blocks:
        score, own = probes @ gallery[block].T, person[:, None] == enrolled[block]
        mate = np.maximum(mate, np.where(own, score, -np.inf).max(axis=1))
        other = np.maximum(other, np.where(own, -np.inf, score).max(axis=1))
    before = np.zeros(len(probes), np.int64)
    for block in blocks:
        score, own = probes @ gallery[block].T, person[:, None] == enrolled[block]
        before += ((score >= mate[:, None]) & ~own).sum(axis=1)
    return mate, other, before + 1


def within(found: Search, ranks: Sequence[int], weights: np.ndarray) -> np.ndarray:
    """Return the share of mated probes whose rank is at most each of `ranks`, under weights (r, q), (r, ranks).

    NaN for a rank that no probe could miss, as the gallery has no more templates.
    """
    w = weights[:, found.mated].astype(np.float64)
    hits = found.rank[found.mated, None] <= np.array(ranks)
    return np.where(np.array(ranks) < found.enrolled, _share(w @ hits, w.sum(axis=1)[:, None]), np.nan)


def tpirs(found: Search, fpirs: Sequence[float], weights: np.ndarray) -> np.ndarray:
    """Return the true positive identification rate at each FPIR under weights (r, q) of the probes, (r, fpirs).

    The threshold is the score of an unmated probe, at which nothing is accepted, and the false positive identification
    rate never exceeds the stated one: NaN for one below one unmated probe.
    """
    mated, unmated = np.flatnonzero(found.mated), np.flatnonzero(~found.mated)
    unmated = unmated[np.argsort(-found.other[unmated], kind="stable")]
    alarm, w = found.other[unmated], weights[:, mated].astype(np.float64)
    reached = np.cumsum(weights[:, unmated], axis=1)  # by falling threshold
    columns = []
    for fpir in fpirs:
        if verification.accepted_impostors(len(unmated), fpir) < 1:
            columns.append(np.full(len(weights), np.nan))
            continue
        allowed = np.floor(fpir * reached[:, -1] * (1 + 1e-12))
        index = (reached <= allowed[:, None]).sum(axis=1)
        threshold = np.append(alarm, -np.inf)[index]
        hits = (found.rank[mated] == 1) & (found.mate[mated] > threshold[:, None])  # (r, mated)
        columns.append(_share((w * hits).sum(axis=1), w.sum(axis=1)))
    return np.stack(columns, axis=1)


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)
