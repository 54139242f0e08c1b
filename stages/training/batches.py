"""Draw the batches of a training: which samples, how transformed, how mixed; batch t depends on (seed, t) alone."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from stages.common.streams import stream
from stages.training.samples import Samples
from stages.training.transform import augmented, jittered

PSI_STEPS = 20


@dataclass(frozen=True)
class Labels:
    """Soft labels of a batch: `ratio` of label_a, the rest of label_b; each (b,)."""

    label_a: Tensor
    label_b: Tensor
    ratio: Tensor


@dataclass(frozen=True)
class Batch:
    """Faces (b, s, s, c) in [0, 255] float: `psi` (b,) of each is a main sample, 1 - psi one of the mix domain."""

    faces: Tensor
    main: Labels
    mix: Labels | None
    psi: Tensor


def batches(samples: Samples, steps: int, size: int, seed: int, first: int = 0, positions: object = None) -> Iterator[Batch]:
    """Yield `steps` batches of `size` main samples; with mix samples, each face is mixed with one of those.

    Domain mixup follows SynFace: x = psi x_main + (1 - psi) x_mix with psi from 0, 0.05, ..., 1. SynFace's code draws
    one psi per batch. Here each face has its own: over a few hundred small batches, one draw each would leave too much
    to chance.
    """
    main_order, mix_order = (
        _order(np.flatnonzero(samples.mix == is_mix), steps * size, [seed, is_mix]) for is_mix in (0, 1)
    )
    for step in range(first, steps):
        rng = stream("transform", seed, step)
        rows = main_order[step * size : (step + 1) * size]
        faces = _faces(samples, rows, rng)
        if not len(mix_order):
            yield Batch(faces, _labels(samples, rows), None, torch.ones(size))
            continue
        mix_rows = mix_order[step * size : (step + 1) * size]
        psi = torch.from_numpy(rng.integers(PSI_STEPS + 1, size=size).astype(np.float32) / PSI_STEPS)
        share = psi[:, None, None, None]
        faces = share * faces + (1 - share) * _faces(samples, mix_rows, rng)
        yield Batch(faces, _labels(samples, rows), _labels(samples, mix_rows), psi)


def _order(rows: np.ndarray, count: int, key: list[int]) -> np.ndarray:
    """Return `count` of `rows`, one permutation of them after the other; none when there are no rows."""
    if not len(rows):
        return rows
    epochs = range(-(-count // len(rows)))
    return np.concatenate([stream("order", *key, epoch).permutation(rows) for epoch in epochs])[:count]


def _faces(samples: Samples, rows: np.ndarray, rng: np.random.Generator) -> Tensor:
    faces = jittered(samples.faces[rows], rng)
    return torch.from_numpy(augmented(faces, rng) if samples.augment else faces).float()


def _labels(samples: Samples, rows: np.ndarray) -> Labels:
    a, b = (torch.from_numpy(column[rows].astype(np.int64)) for column in (samples.label_a, samples.label_b))
    return Labels(a, b, torch.from_numpy(samples.weight[rows]))
