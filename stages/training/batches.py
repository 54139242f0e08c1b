"""Draw the batches of a training: which samples, how transformed, how mixed; batch t depends on (seed, t) alone.

Whoever draws it, from whichever step on, and whatever part of it: a rank's share, in this process or in a worker ahead
of it. Flip, jitter and the variant's `augment` draw the numbers of a whole batch from one stream of the step, though
only the part's faces are changed; the rest of the augmentation has a stream for each sample and epoch.
"""

import signal
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from stages.common import parents
from stages.common.errors import InputError
from stages.common.streams import stream
from stages.training import transform
from stages.training.augmentation import varied
from stages.training.samples import Samples
from stages.training.settings import Augment

PSI_STEPS = 20
PLAIN = Augment(flip=0.5, jitter=1.0, crop=0.0, low_res=0.0, photometric=0.0, erase=0.0)
WHOLE = slice(None)

Part = slice | np.ndarray  # positions in a batch
Mix = Literal["sample", "batch"]


@dataclass(frozen=True)
class Labels:
    """Soft labels of a batch: `ratio` of label_a, the rest of label_b; each (b,)."""

    label_a: Tensor
    label_b: Tensor
    ratio: Tensor


@dataclass(frozen=True)
class Batch:
    """Faces (p, s, s, c) in [0, 255], uint8 or, where two domains are mixed, float, and labels of the whole batch (b,).

    p is the number of faces of the part, b without one. `psi` (b,) of each face is a main sample, 1 - psi one of the
    mix domain.
    """

    faces: Tensor
    main: Labels
    mix: Labels | None
    psi: Tensor


def batches(
    samples: Samples,
    steps: int,
    size: int,
    seed: int,
    *,
    first: int = 0,
    part: Part = WHOLE,
    augment: Augment = PLAIN,
    mix: Mix = "sample",
    workers: int = 0,
) -> Iterator[Batch]:
    """Yield batches `first` to `steps` of `size` main samples; with mix samples, each face is mixed with one of those.

    part: which faces of each batch to decode and transform; the labels are always those of the whole batch. mix: whose
    psi is drawn, each sample's or the batch's. workers: processes that draw ahead; 0 draws each when it is asked for.

    Raises InputError when an image is not readable, and ChildProcessError when a worker was killed.
    """
    dataset = Batches(samples, size, seed, part, augment, mix)
    for batch in _drawn(dataset, range(first, steps), workers):
        if isinstance(batch, InputError):
            raise batch
        yield batch


def _drawn(dataset: "Batches", steps: range, workers: int) -> Iterator[Batch | InputError]:
    if not workers:
        yield from (dataset[step] for step in steps)
        return
    cv2.setNumThreads(0)  # OpenCV's pool of threads would not survive the fork
    loader = DataLoader(
        dataset, batch_size=None, sampler=steps, num_workers=workers, worker_init_fn=_begin,
        multiprocessing_context="fork",  # workers share what is held in memory and the maps of the shards
        generator=torch.Generator(),  # else it would draw from the global one, which the network's dropout uses
    )  # fmt: skip
    handler = signal.getsignal(signal.SIGCHLD)
    drawn = iter(loader)
    signal.signal(signal.SIGCHLD, handler)  # torch's would raise at a worker's death wherever the training stands
    try:
        yield from drawn
    except RuntimeError as error:
        if "DataLoader worker (pid" not in str(error):
            raise
        advice = "perhaps it was out of memory, and fewer of them would do"
        raise ChildProcessError(f"a worker that decodes faces ended ({error}): {advice}") from error


def _begin(_: int) -> None:
    parents.die_with_parent()


class Batches(Dataset):
    """The batches of a training by their steps.

    Domain mixup follows SynFace: x = psi x_main + (1 - psi) x_mix with psi from 0, 0.05, ..., 1. SynFace's code draws
    one psi per batch. Here each face has its own by default: over a few hundred small batches, one draw each would
    leave too much to chance.
    """

    def __init__(self, samples: Samples, size: int, seed: int, part: Part, augment: Augment, mix: Mix) -> None:
        """Hold the samples and how they are drawn, as `batches` has it."""
        self._samples, self._size, self._seed, self._part = samples, size, seed, part
        self._augment, self._mix = augment, mix
        rows = (np.setdiff1d(np.flatnonzero(samples.mix == is_mix), samples.skipped) for is_mix in (0, 1))
        self._main_order, self._mix_order = (_Order(own, seed, is_mix) for is_mix, own in enumerate(rows))

    def __getitem__(self, step: int) -> Batch | InputError:
        """Return the batch of a step, or the error of an image: a worker that raised it would lose its fields."""
        try:
            return self._batch(step)
        except InputError as error:
            return error

    def _batch(self, step: int) -> Batch:
        rng, places = stream("transform", self._seed, step), range(step * self._size, (step + 1) * self._size)
        rows, epochs = self._main_order.at(places)
        faces, main = self._faces(rows, epochs, rng), self._labels(rows)
        if not len(self._mix_order.rows):
            return Batch(faces, main, None, torch.ones(self._size))
        drawn = rng.integers(PSI_STEPS + 1, size=self._size if self._mix == "sample" else 1)
        psi = np.broadcast_to(drawn.astype(np.float32) / PSI_STEPS, self._size).copy()
        rows, epochs = self._mix_order.at(places)
        share = torch.from_numpy(psi[self._part])[:, None, None, None]
        faces = share * faces.float() + (1 - share) * self._faces(rows, epochs, rng).float()
        return Batch(faces, main, self._labels(rows), torch.from_numpy(psi))

    def _faces(self, rows: np.ndarray, epochs: np.ndarray, rng: np.random.Generator) -> Tensor:
        """Return the part's faces (p, s, s, c) uint8; the numbers of the step are drawn for the whole batch."""
        part, side, cfg = self._part, self._samples.faces.shape[1], self._augment
        mirror = rng.random(len(rows)) < cfg.flip
        moves = transform.drawn_moves(mirror, side, rng, cfg.jitter) if cfg.jitter else None
        lights = transform.drawn_lights(len(rows), side, rng) if self._samples.augment else None
        faces = self._samples.faces[rows[part]]
        faces = transform.mirrored(faces, mirror[part]) if moves is None else transform.warped(faces, moves[part])
        if lights is not None:
            faces = transform.lit(faces, lights[part])
        if max(cfg.crop, cfg.low_res, cfg.photometric, cfg.erase):
            keys = zip(faces, epochs[part], rows[part], strict=True)
            faces = np.stack([varied(face, cfg, self._seed, epoch, row) for face, epoch, row in keys])
        return torch.from_numpy(faces)

    def _labels(self, rows: np.ndarray) -> Labels:
        a, b, weight = self._samples.label_a, self._samples.label_b, self._samples.weight
        a, b = (torch.from_numpy(column[rows].astype(np.int64)) for column in (a, b))
        return Labels(a, b, torch.from_numpy(weight[rows]))


class _Order:
    """The samples of a domain, one permutation of `rows` after the other; holds the one that it used last."""

    def __init__(self, rows: np.ndarray, seed: int, is_mix: int) -> None:
        self.rows = rows
        self._epoch = lru_cache(1)(lambda epoch: stream("order", seed, is_mix, epoch).permutation(rows))

    def at(self, places: range) -> tuple[np.ndarray, np.ndarray]:
        """Return which samples stand at these places (b,), and in which epoch each does."""
        epochs, within = np.divmod(np.array(places), len(self.rows))
        parts = [self._epoch(epoch)[within[epochs == epoch]] for epoch in np.unique(epochs)]
        return np.concatenate(parts), epochs
