"""The variance of metrics over people, carried by replicates that can be added and subtracted.

To first order a metric is a sum of what every pair contributes (`influence`). Pairs that share a person are not
independent, so the metric's variance is a sum of products over all pairs of pairs with a person in common (Fafchamps
and Gubert 2007; Aronow, Samii and Assenova 2015): the squared sums of each person's pairs, less the squared sums of
each two people's impostor pairs, which were counted with both of them.

Replicates carry that variance: a multiplier bootstrap with sparse multipliers, in which each person moves one replicate
only. The variance is the mean square of the replicates, and what has to be subtracted stands in their imaginary part,
where squares are negative; the mean cube tells how skew it is. Draws depend on the people of the pairs and on the seed,
never on the scores: a difference of two variants, or of protocols that show the same people in the same pairs (LFW and
Syn-LFW), is a difference of replicates, and so is a mean.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from stages.common.streams import stream


@dataclass(frozen=True)
class Pairs:
    """The pairs of one protocol: columns (p,) same, fold, identity_a, identity_b."""

    same: np.ndarray
    fold: np.ndarray
    identity_a: np.ndarray
    identity_b: np.ndarray


def of(influences: np.ndarray, pairs: Pairs, replicates: int, seed: int) -> np.ndarray:
    """Return complex deviations (r, m) of metrics to which pairs contribute `influences` (s, m, p), a row per seed.

    Their mean square is the variance of the seeds' mean over people, less what the seeds show themselves by differing
    on these people: the variance of their deviations from that mean, over s (s - 1).
    """
    seeds, metrics, _ = influences.shape
    people, twos = _members(pairs)
    rng = stream("resampled people", seed, *key(pairs))
    mean = influences.mean(axis=0)  # (m, p)
    added, taken = _grouped(people @ mean.T, replicates, rng), _grouped(twos @ mean.T, replicates, rng)
    if seeds > 1:
        own = ((influences - mean) / np.sqrt(seeds * (seeds - 1))).reshape(seeds * metrics, -1).T  # (p, s * m)
        for members, total in ((twos, added), (people, taken)):
            by_seed = (members @ own).reshape(-1, metrics)  # a row for each seed of each person, or of each two
            signs = rng.choice([-1, 1], (len(by_seed), 1))  # it adds to the variance, and to no skewness
            total += _grouped(signs * by_seed, replicates, rng)
    return (added + 1j * taken) * freedom(pairs)


def freedom(pairs: Pairs) -> float:
    """Return by how much few people understate a standard error: either person of a pair takes a degree of freedom."""
    count = len(np.unique([pairs.identity_a, pairs.identity_b]))
    return count / max(count - 1, 1)


def _members(pairs: Pairs) -> tuple[sparse.csr_array, sparse.csr_array]:
    """Return which pairs show each person, (people, p), and which impostor pairs show each two, (twos, p)."""
    people, index = np.unique(np.concatenate([pairs.identity_a, pairs.identity_b]), return_inverse=True)
    a, b = np.split(index, 2)
    impostor = np.flatnonzero(~pairs.same)
    row, column = np.concatenate([a, b[impostor]]), np.concatenate([np.arange(len(a)), impostor])
    both = (np.minimum(a, b) * len(people) + np.maximum(a, b))[impostor]
    twos, two = np.unique(both, return_inverse=True)
    return _ones(row, column, (len(people), len(a))), _ones(two, impostor, (len(twos), len(a)))


def _ones(row: np.ndarray, column: np.ndarray, shape: tuple[int, int]) -> sparse.csr_array:
    return sparse.csr_array((np.ones(len(row)), (row, column)), shape=shape)


def key(pairs: Pairs) -> bytes:
    """Return what draws depend on: who is in the pairs, and never who scored them."""
    return hashlib.sha256(np.stack([pairs.identity_a, pairs.identity_b]).astype(np.int32).tobytes()).digest()


def _grouped(x: np.ndarray, replicates: int, rng: np.random.Generator) -> np.ndarray:
    """Return sums (r, m) whose mean squares estimate the sums of squares of the columns of x (n, m), which sum to 0.

    Each row goes to one of r groups. Where there are no more rows than groups, each has a group for itself and the
    estimate is exact; else it is the random group method (Wolter 2007, chapter 2).
    """
    group = rng.permutation(max(len(x), replicates))[: len(x)] % replicates
    total = np.zeros((replicates, x.shape[1]))
    np.add.at(total, group, x)
    return np.sqrt(replicates) * total
