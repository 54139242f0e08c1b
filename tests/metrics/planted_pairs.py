"""Scores of pairs whose people and seeds differ by so much."""

import numpy as np

from stages.metrics.replicates import Pairs

FARS = (0.1, 0.05)


def case(
    rng: np.random.Generator, people: int = 30, pairs: int = 400, seeds: int = 1, sd: float = 0.0, between: float = 0.0
) -> tuple[np.ndarray, Pairs]:
    """Return scores (s, p) and pairs; people differ by `sd`, training seeds by `between`."""
    same = np.arange(pairs) % 2 == 0
    a = rng.integers(0, people, pairs)
    b = np.where(same, a, (a + rng.integers(1, people, pairs)) % people)
    genuine, impostor = rng.normal(0, sd, (2, people)) if sd else np.zeros((2, people))
    score = rng.normal(0, 0.3, pairs) + np.where(same, 0.8 + genuine[a], impostor[a] + impostor[b])
    gaps = rng.normal(0, between, (seeds, 1)) if between else np.zeros((seeds, 1))
    return (score + gaps * same).astype(np.float32), Pairs(same, np.arange(pairs) * 10 // pairs, a, b)
