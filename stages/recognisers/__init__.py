"""Recognisers: what turns faces into embeddings. One backend a file, named as in params.yaml.

A recogniser takes faces uint8 (b, h, w, 3) RGB of any size and returns embeddings (b, d) float32, not normalised. A
backend reads a file of weights and its card, which says how the network wants its faces: colours, normalisation, how
much of ArcFace's template. A network of a known layout needs a card and no code. To add a backend, keep the Protocol
`Recogniser`, give its module a `load`, add its name to `Recogniser` in stages/common/params.py, and tell
`stages.common.networks` where its file states d; one with gradients has `features`, too, and is named in
stages/validate.py. What it imports of ours goes into the `deps` of the stages that load a chosen network, and a
function that writes such a file into tests/recognisers/test_conformance.py. `pretrain` depends on this file.
"""

from importlib import import_module
from pathlib import Path
from typing import Protocol

import numpy as np


class Recogniser(Protocol):
    """A face recogniser that knows its own input size, frame, colour order and normalisation."""

    embedding_size: int

    def embed(self, faces: np.ndarray, frame_px: float | None = None) -> np.ndarray:
        """Return un-normalised embeddings (b, d) float32 of faces uint8 (b, h, w, 3) RGB of any size.

        frame_px: what the faces show of ArcFace's template of 112 px, `Shards.frame_px`; the network cuts its own frame
        out of that. None: they show what it wants.
        Row i depends on face i alone, not on the batch around it.
        """
        ...


def load(backend: str, weights: str | Path, card: str | Path | None = None) -> Recogniser:
    """Load a file of weights with the backend `stages/recognisers/BACKEND.py`.

    card: JSON file that says how the network wants its faces; without one, it lies beside the weights.
    """
    card = card or Path(weights).with_suffix(".json")
    return import_module(f"stages.recognisers.{backend}").load(weights, card)
