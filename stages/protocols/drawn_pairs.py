"""Draw verification pairs in folds that share no person."""

from itertools import combinations, product

import numpy as np
import pyarrow as pa

from stages.common import tables
from stages.common.errors import InputError
from stages.common.streams import stream

FOLDS, PER_FOLD = 10, 600  # half of each fold genuine, half impostor, as in LFW
NEAREST = 3  # an impostor who is matched is one of so many nearest people of the fold

Combos = list[tuple[int, int]]


def any_two(depth: int) -> Combos:
    """Return all pairs of a person's images."""
    return list(combinations(range(depth), 2))


def across(half: int) -> Combos:
    """Return all pairs of one of the first `half` images and one of the next `half`."""
    return list(product(range(half), range(half, 2 * half)))


def draw(people: int, depth: int, combos: Combos, seed: list[int], attributes: np.ndarray | None = None) -> pa.Table:
    """Return 6,000 pairs in ten folds; image j of person i is row i * depth + j.

    combos: which images of one person, or of two, make pairs. attributes (people, 3): sex, skin and age, standardised;
    with them, impostor pairs show two people of the fold who are alike. Raises InputError when there are too few people
    for 300 genuine pairs a fold.
    """
    rng = stream("benchmark", *seed)
    fold_of = rng.permutation(people) % FOLDS
    parts = [_fold(np.flatnonzero(fold_of == f), depth, combos, rng, attributes) for f in range(FOLDS)]
    a, b = (np.concatenate(column) for column in zip(*parts, strict=True))
    same = np.tile(np.repeat([True, False], PER_FOLD // 2), FOLDS)
    return tables.pairs(a, b, same, np.repeat(np.arange(FOLDS), PER_FOLD))


def _fold(
    people: np.ndarray, depth: int, combos: Combos, rng: np.random.Generator, attributes: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    half, genuine = PER_FOLD // 2, len(people) * len(combos)
    if genuine < half:
        allowed = f"at least {half}; take more identities"
        raise InputError(None, key="genuine pairs a fold", value=genuine, allowed=allowed)
    drawn = []
    for person, combo in np.stack(np.divmod(rng.choice(genuine, half, replace=False), len(combos)), 1):
        j, k = combos[combo]
        drawn.append((people[person] * depth + j, people[person] * depth + k))
    impostor: dict[tuple[int, int], None] = {}  # a set in the order of the draws
    while len(impostor) < half:
        i = rng.choice(people)
        i_impostor = rng.choice(_impostors(i, people, attributes))
        j, k = combos[rng.integers(len(combos))]
        impostor[i * depth + j, i_impostor * depth + k] = None
    a, b = zip(*drawn, *impostor, strict=True)
    return np.array(a), np.array(b)


def _impostors(person: int, people: np.ndarray, attributes: np.ndarray | None) -> np.ndarray:
    """Return whom impostor pairs of a person may show: everybody else of the fold, or the nearest three."""
    everybody_else = people[people != person]
    if attributes is None:
        return everybody_else
    distance = np.square(attributes[everybody_else] - attributes[person]).sum(1)
    return everybody_else[np.argsort(distance, kind="stable")[:NEAREST]]
