"""Random numbers by name: every draw of the project has a stream of its own, and this table lists them.

numpy makes a generator from a list of integers: a seed, keys such as an image's index, and the number of the name. Two
names of one family, which share a seed, never draw the same numbers. What is drawn under a name keeps its bytes as long
as its line here stays; a new stream is a new line, with a number that its family does not have yet.
"""

import sys
from typing import NamedTuple

import numpy as np

FIRST, SECOND, LAST = 0, 1, sys.maxsize  # where the number stands among seed and keys


class Stream(NamedTuple):
    """A line of the table; without a number, seed and keys stand alone (at the end, numpy takes a 0 for nothing)."""

    family: str  # whose seed it is
    number: int | None = None
    place: int = LAST


STREAMS = {
    "packing": Stream("pack"),  # whatever a sampler draws
    "repeated rows": Stream("pack", 1),
    "fitted gaussian": Stream("pack", 3),
    "front": Stream("pack", 4),
    "perturb": Stream("image", 1),  # an image's own seed
    "trained pose": Stream("image", 7),
    "mask": Stream("image", 0x3A5C),
    "style": Stream("image", 0x57A7),
    "camera": Stream("image", 0xCA3E),
    "mixup partners": Stream("generate", 2),  # by identity
    "recogniser order": Stream("pretrain"),  # by epoch
    "recogniser jitter": Stream("pretrain", 3),  # by step
    "unseen pairs": Stream("pretrain", 4),
    "inverter rows": Stream("pretrain", 5),  # by step
    "pose rows": Stream("pretrain", 6),  # by step
    "order": Stream("train", 1, FIRST),  # by main or mix, and epoch
    "transform": Stream("train", 2, FIRST),  # by step
    "negatives": Stream("train", 3, FIRST),  # by step and rank
    "augmentation": Stream("train", 4, FIRST),  # by epoch and sample
    "dropout": Stream("train", 5, FIRST),  # by rank
    "selection pairs": Stream("train", 6, FIRST),
    "resampled seeds": Stream("evaluate", 0, SECOND),  # by the number of training seeds
    "resampled people": Stream("evaluate", 1, SECOND),  # by the digest of the pairs
    "resampled clusters": Stream("audit"),  # by the number of clusters
    "benchmark": Stream("benchmarks"),  # by the protocol's name
    "person": Stream("population"),  # of the name's checksum, by stage seed and index
    "residual bases": Stream("chart"),  # of a kind of map, by the number of bases
    "texture colours": Stream("chart", 1),  # the same
    "fine noise": Stream("chart", 7),  # of a kind of map
    "background": Stream("chart", 11),  # of a domain
    "grain": Stream("chart", 0xCA3E),  # of an image's size
    "face sheet": Stream("report"),  # of a person's place on the sheet
    "cell gallery": Stream("cell", 1, FIRST),
    "cell duplicates": Stream("cell", 2, FIRST),
    "cell design": Stream("cell", 14, FIRST),  # of dimensions, by rows
}


def stream(name: str, seed: int | np.integer, *keys: int | np.integer) -> np.random.Generator:
    """Return the generator of a name, a seed and keys, all at least 0; raises KeyError for an unknown name."""
    _, number, place = STREAMS[name]
    entropy = [int(key) for key in (seed, *keys)]
    if number is not None:
        entropy.insert(place, number)
    return np.random.default_rng(entropy)
