"""Weights of people: what resampling makes of comparisons too many to weigh one by one.

A replicate draws the P people of a benchmark with replacement, person i w_i times. A probe or a genuine comparison
weighs w_i, an impostor comparison w_i * w_j, as in `bootstrap`.
"""

import hashlib

import numpy as np

from stages.common.streams import stream
from stages.metrics import bootstrap


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


def over_seeds(replicated: np.ndarray, seed: int) -> np.ndarray:
    """Return replicates (r, m) of shares between 0 and 1 from those of each training seed, (s, r, m)."""
    shares = bootstrap.seed_shares(len(replicated), replicated.shape[1], seed)
    return np.clip(np.einsum("rs,srm->rm", shares, replicated), 0, 1)
