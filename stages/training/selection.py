"""The people on whom a training is scored while it runs: held out of its own data, or of a set that the user names.

Which moment of a training is the best is a choice, and a benchmark on which it was made no longer measures. So it is
made on people of the training's own domain, and the benchmarks are left alone.
"""

from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np
import torch
from torch import nn

from stages.common import networks, sphere, verification
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
    """Faces (n, s, s, c) uint8 and pairs (p,) of their rows a and b, in folds."""

    faces: np.ndarray
    a: np.ndarray
    b: np.ndarray
    same: np.ndarray
    fold: np.ndarray

    def accuracy(self, net: nn.Module, colour: str) -> float:
        """Return the ten-fold verification accuracy of a network, which stays as it is."""
        device, training = next(net.parameters()).device, net.training
        net.eval()
        with torch.no_grad(), torch.autocast(device.type, torch.bfloat16):
            chunks = [torch.from_numpy(self.faces[i : i + CHUNK]).to(device) for i in range(0, len(self.faces), CHUNK)]
            x = torch.cat([net(networks.standardised(chunk, colour)).float() for chunk in chunks]).cpu().numpy()
        net.train(training)
        rows = sphere.unit_rows(x)
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
    return rest, _selection(samples.faces[rows], samples.label_a[rows], seed)


def of_set(folder: Path, people: int, size_px: int, colour: str, frame_px: int, seed: int = 0) -> Selection:
    """Return the first `people` of a set's shards, at the side, in the colour and the frame of the training's faces."""
    shards = Shards(folder)
    identity = shards.column("identity")
    rows = np.flatnonzero(identity < people)
    faces = Frame(size_px, size_px, frame_px).of(shards.faces(rows), shards.frame_px)
    return _selection(grey(faces) if colour == "grey" else faces, identity[rows], seed)


def _selection(faces: np.ndarray, identity: np.ndarray, seed: int) -> Selection:
    """Return as many impostor pairs as genuine ones, drawn from one stream."""
    rng = stream("selection pairs", seed)
    genuine = [pair for who in np.unique(identity) for pair in combinations(np.flatnonzero(identity == who), 2)]
    if len(genuine) < FOLDS or len(np.unique(identity)) < 2:
        allowed = f"two people or more with {FOLDS} genuine pairs together"
        raise InputError(
            "params.yaml", f"{len(genuine)} genuine pairs", key="train.monitor.identities", allowed=allowed
        )
    pairs = np.array(genuine)[rng.permutation(len(genuine))[: PAIRS // 2]]
    a = rng.integers(len(identity), size=len(pairs))
    others = [np.flatnonzero(identity != identity[row]) for row in a]
    b = np.array([rng.choice(other) for other in others])
    same = np.repeat([True, False], len(pairs))
    fold = np.tile(np.arange(len(pairs)) % FOLDS, 2)
    return Selection(faces, np.append(pairs[:, 0], a), np.append(pairs[:, 1], b), same, fold)
