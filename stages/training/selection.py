"""The people on whom a training is scored while it runs: held out of its own data, or of a set that the user names.

Which moment of a training is the best is a choice, and a benchmark on which it was made no longer measures. So it is
made on people of the training's own domain, and the benchmarks are left alone.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from stages.common import sphere, verification
from stages.common.errors import InputError
from stages.common.frames import Frame
from stages.common.images import Shards, grey
from stages.common.streams import stream
from stages.training.samples import Samples

PAIRS = 6000  # at most, half of them genuine, as in LFW
FOLDS = 10
CHUNK = 256  # faces embedded at a time


@dataclass(frozen=True)
class Selection:
    """Faces (n, s, s, c) uint8 and pairs (p,) of their rows a and b, whether each shows one person, and their folds."""

    faces: np.ndarray
    a: np.ndarray
    b: np.ndarray
    same: np.ndarray
    fold: np.ndarray

    def accuracy(self, embed: Callable[[Tensor], Tensor]) -> float:
        """Return the ten-fold verification accuracy of what gives faces (b, s, s, c) their embeddings (b, d)."""
        starts = range(0, len(self.faces), CHUNK)
        x = torch.cat([embed(torch.from_numpy(self.faces[start : start + CHUNK])).cpu() for start in starts])
        rows = sphere.unit_rows(x.numpy())
        cosine = np.einsum("pd,pd->p", rows[self.a], rows[self.b])
        return verification.ten_fold_accuracy(cosine, self.same, self.fold)[0]


def hold_out(samples: Samples, people: int, seed: int = 0) -> tuple[Samples, Selection]:
    """Return samples without the last `people` of their main domain, classes numbered anew, and these people's faces.

    Raises InputError when that leaves nobody to train on, or nobody with two images to score.
    """
    main = np.unique(samples.label_a[~samples.mix])
    if people >= len(main):
        allowed = f"less than the variant's {len(main)}"
        raise InputError("params.yaml", key="train.monitor.identities", value=people, allowed=allowed)
    out = main[-people:]
    touched = np.isin(samples.label_a, out) | np.isin(samples.label_b, out)
    shown = touched & (samples.label_a == samples.label_b)
    shown[samples.skipped] = False
    rows = np.flatnonzero(shown)
    kept = np.setdiff1d(np.arange(samples.classes), out)
    a, b = (np.searchsorted(kept, label).astype(label.dtype) for label in (samples.label_a, samples.label_b))
    rest = replace(
        samples, label_a=a, label_b=b, classes=len(kept),
        skipped=np.union1d(samples.skipped, np.flatnonzero(touched)).astype(np.int64),
    )  # fmt: skip
    return rest, _selection(lambda used: samples.faces[rows[used]], samples.label_a[rows], seed)


def of_set(folder: Path, people: int, size_px: int, colour: str, frame_px: int, seed: int = 0) -> Selection:
    """Return the first `people` of a set's shards, at the side, in the colour and the frame of the training's faces."""
    shards = Shards(folder)
    identity = shards.column("identity")
    rows = np.flatnonzero(identity < people)

    def faces(used: np.ndarray) -> np.ndarray:
        faces = Frame(size_px, size_px, frame_px).of(shards.faces(rows[used]), shards.frame_px)
        return grey(faces) if colour == "grey" else faces

    return _selection(faces, identity[rows], seed)


def _selection(faces: Callable[[np.ndarray], np.ndarray], identity: np.ndarray, seed: int) -> Selection:
    """Return as many impostor pairs as genuine ones, with the faces of those images alone; identity (n,) of each."""
    rng = stream("selection pairs", seed)
    order = np.argsort(identity, kind="stable")  # one person after the other
    _, first, count = np.unique(identity[order], return_index=True, return_counts=True)
    pairs_before = np.append(0, np.cumsum(count * (count - 1) // 2))
    if pairs_before[-1] < FOLDS or len(count) < 2:
        problem, allowed = (
            f"{pairs_before[-1]} genuine pairs",
            f"two people or more with {FOLDS} genuine pairs together",
        )
        raise InputError("params.yaml", problem, key="train.monitor.identities", allowed=allowed)
    drawn = rng.choice(pairs_before[-1], min(PAIRS // 2, pairs_before[-1]), replace=False)
    person = np.searchsorted(pairs_before, drawn, "right") - 1
    number = drawn - pairs_before[person]  # of the pair among the person's: (1, 0), (2, 0), (2, 1), (3, 0), ...
    later = ((1 + np.sqrt(1 + 8 * number)) / 2).astype(np.int64)
    genuine = order[first[person] + [later, number - later * (later - 1) // 2]]  # (2, pairs)
    impostor = rng.integers(len(identity), size=(2, len(drawn)))
    while (alike := identity[impostor[0]] == identity[impostor[1]]).any():
        impostor[1, alike] = rng.integers(len(identity), size=alike.sum())
    used, rows = np.unique(np.hstack([genuine, impostor]), return_inverse=True)
    a, b = rows.reshape(2, -1)
    return Selection(
        faces(used), a, b, same=np.repeat([True, False], len(drawn)), fold=np.tile(np.arange(len(drawn)) % FOLDS, 2)
    )
