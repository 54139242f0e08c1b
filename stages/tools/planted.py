"""Scores whose truth is known, to see whether intervals keep what they promise.

Three protocols are scored by two variants of equal skill, so that every difference is zero: `lfw` and its twin
`syn-lfw`, which show the same people in the same pairs, and `other` with people of its own. People are easy or hard,
alone and against each other, some resemble many; images are good or bad; and every network sees each pair in a way of
its own.
"""

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import numpy as np

from stages.metrics.replicates import Pairs
from stages.protocols import drawn_pairs

PROTOCOLS = ("lfw", "other", "syn-lfw")
DESIGNS = 8  # sets of pairs, used in turn: people are drawn anew for every repetition
TWIN = 0.7  # correlation of a person's difficulty in two domains


class Setting(NamedTuple):
    """What is planted. Deviations are in units of a score: `separation` is what genuine pairs have more on average.

    person, image: of a person's and an image's effect on all their pairs; two: of any two people's likeness; pair: of
    what all networks see in a pair; own: of what one network sees; variant: of a person's effect on one variant;
    between: of a seed's effect on the separation. few: people of the first fold, 0: as many as in the others.
    """

    name: str
    seeds: int = 3
    separation: float = 2.2
    person: float = 0.3
    image: float = 0.25
    two: float = 0.3
    pair: float = 0.55
    own: float = 0.4
    variant: float = 0.15
    between: float = 0.0
    people: int = 240
    images: int = 6
    few: int = 0
    fars: tuple[float, ...] = (0.01, 0.001)
    replicates: int = 300


class Design(NamedTuple):
    """The pairs of a protocol, and which images they show: rows a and b (p,)."""

    pairs: Pairs
    a: np.ndarray
    b: np.ndarray
    two: np.ndarray  # which two people, (p,)


@cache
def design(people: int, images: int, few: int, number: int) -> Design:
    """Return the pairs of a protocol in ten folds that share no person, as stage `benchmarks` draws them."""
    table = drawn_pairs.draw(people, images, drawn_pairs.any_two(images), [number, people, images])
    a, b, same, fold = (table[name].to_numpy() for name in ("a", "b", "same", "fold"))
    identity = np.arange(people)
    if few:
        first = np.unique(np.concatenate([a, b])[np.tile(fold == 0, 2)] // images)
        identity[first] = first[np.arange(len(first)) % few]
    one, other = identity[a // images], identity[b // images]
    kept = same | (one != other)
    a, b, same, fold, one, other = (column[kept] for column in (a, b, same, fold, one, other))
    shift = number * people  # protocols of another number show other people
    two = np.unique(np.minimum(one, other) * people + np.maximum(one, other), return_inverse=True)[1]
    return Design(Pairs(same, fold, one + shift, other + shift), a, b, two)


def draw(setting: Setting, rng: np.random.Generator, number: int) -> Iterator[tuple[str, Pairs, np.ndarray]]:
    """Yield the protocols with their pairs and the scores (2, s, p) of two equal variants; networks are the same."""
    seeds = setting.between * rng.standard_normal((2, setting.seeds, 1))
    lfw, other = (design(setting.people, setting.images, setting.few, 2 * number + i) for i in range(2))
    people = _people(rng, setting)
    twin = TWIN * people + np.sqrt(1 - TWIN**2) * _people(rng, setting)
    for name, of, effects in ((PROTOCOLS[0], lfw, people), (PROTOCOLS[1], other, _people(rng, setting)),
                              (PROTOCOLS[2], lfw, twin)):  # fmt: skip
        yield name, of.pairs, _scores(setting, rng, of, effects, seeds)


def _people(rng: np.random.Generator, setting: Setting) -> np.ndarray:
    """Return the effect of each person on genuine pairs, and on impostor pairs, where some resemble many, (2, n)."""
    easy, resembling = rng.standard_normal(setting.people), rng.exponential(1, setting.people) - 1
    return np.stack([setting.person * easy, setting.person * resembling])


def _scores(
    setting: Setting, rng: np.random.Generator, of: Design, people: np.ndarray, seeds: np.ndarray
) -> np.ndarray:
    same, images = of.pairs.same, setting.images
    one, other = of.a // images, of.b // images
    noise = rng.standard_normal
    quality = setting.image * noise(setting.people * images)
    likeness = setting.two * noise(of.two.max() + 1)
    easy, resembling = people[:, None, None] + setting.variant * noise((2, 2, 1, setting.people))
    genuine = setting.separation + seeds + easy[..., one]
    impostor = resembling[..., one] + resembling[..., other] + likeness[of.two]
    shared = (quality[of.a] + quality[of.b]) / np.sqrt(2) + setting.pair * noise(len(same))
    return np.where(same, genuine, impostor) + shared + setting.own * noise((2, setting.seeds, len(same)))
