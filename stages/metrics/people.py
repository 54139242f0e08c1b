"""Weights of people, for metrics that are no sum over pairs even to first order.

A replicate draws the P people of a benchmark with replacement, person i w_i times. A probe or a genuine comparison
weighs w_i, an impostor comparison w_i * w_j (Owen 2007, "The pigeonhole bootstrap"; Bolle, Ratha and Pankanti 2004 for
subjects in biometrics). What differs between impostor comparisons alone then counts three times, and a threshold that
is looked for anew is found on fewer distinct ones: intervals are wider than those of `replicates`, and their centre is
biased, which is why `bootstrap` takes the replicates' variance and not their quantiles.
"""

import hashlib

import numpy as np

from stages.common.streams import stream
from stages.metrics.replicates import Pairs


def weights(identity: np.ndarray, replicates: int, seed: int) -> np.ndarray:
    """Return how often each replicate draws each of P people, (r, P) int32.

    identity: the people (P,), by whose numbers draws differ between benchmarks.
    """
    key = hashlib.sha256(np.sort(identity).astype(np.int64).tobytes()).digest()
    draws = stream("resampled people", seed, *key)
    return draws.multinomial(len(identity), np.full(len(identity), 1 / len(identity)), replicates).astype(np.int32)


def once(people: int) -> np.ndarray:
    """Return the weights with which every person counts once, (1, P)."""
    return np.ones((1, people), np.int32)


def pair_weights(pairs: Pairs, replicates: int, seed: int) -> np.ndarray:
    """Return the weight of each pair in each replicate, (r, p) int32."""
    identity, index = np.unique(np.concatenate([pairs.identity_a, pairs.identity_b]), return_inverse=True)
    w, (a, b) = weights(identity, replicates, seed), np.split(index, 2)
    return np.where(pairs.same, w[:, a], w[:, a] * w[:, b])
