"""Networks trained elsewhere: their card, and faces prepared as it says."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from stages.common import artifacts, images, params
from stages.common.params import Count, Positive, settings

Three = Annotated[list[float], Field(min_length=3, max_length=3)]
ThreePositive = Annotated[list[Positive], Field(min_length=3, max_length=3)]


@settings
class Card:
    """How a network wants its faces: x = (pixel - mean) / std, in the order of its channels.

    mean and std are one number or one for each channel, in `colour`'s order, of pixels in 0 to 255. `size_px` and
    `embedding_size` are checked against the network where the card has them; an ONNX network of free size needs
    size_px. `graph_normalises`: the card knows that an ONNX graph begins with arithmetic of its own. `sha256`: of the
    file of weights, checked; `about`: for people.
    """

    colour: Literal["rgb", "bgr"]
    mean: float | Three
    std: Positive | ThreePositive
    size_px: Count | None = None
    embedding_size: Count | None = None
    graph_normalises: bool = False
    sha256: str | None = None
    about: str = ""

    @property
    def normalises(self) -> bool:
        """Return whether the card changes what it is given."""
        return bool(np.any(np.asarray(self.mean) != 0) or np.any(np.asarray(self.std) != 1))

    def check(self, weights: str | Path, **found: int) -> None:
        """Raise ValueError when `size_px` or `embedding_size` of the network in `weights` is not the card's."""
        for key, value in found.items():
            if getattr(self, key) not in (None, value):
                raise ValueError(f"{weights}: {key} = {value}; allowed by its card: {getattr(self, key)}")


def read(weights: str | Path, file: str | Path) -> Card:
    """Return the card of a file of weights; raises ValueError when either is missing or they do not fit."""
    for path in (weights, file):
        if not Path(path).is_file():
            raise ValueError(
                f"{path}: no such file; allowed: weights of your own, and a card of stages/recognisers/cards"
            )
    card = params.check("card", artifacts.read_json(file), Card, Path(file))
    if card.sha256 and card.sha256 != artifacts.digest(weights):
        raise ValueError(f"{weights}: sha256 differs from the one in its card {file}")
    return card


class Published:
    """A network trained elsewhere; a `Recogniser`.

    `run` maps prepared faces (chunk, 3, size_px, size_px) float32 to rows (chunk, embedding_size). Every call has
    `chunk` faces, padded, so that a row does not depend on the batch around it.
    """

    def __init__(
        self, card: Card, size_px: int, embedding_size: int, chunk: int, run: Callable[[np.ndarray], np.ndarray]
    ) -> None:
        """Hold a network that runs, and the card that describes it."""
        self.card, self.size_px, self.embedding_size = card, size_px, embedding_size
        self.mean, self.std = (np.asarray(value, np.float32) for value in (card.mean, card.std))
        self._chunk, self._run = chunk, run

    def prepared(self, faces: np.ndarray) -> np.ndarray:
        """Return faces uint8 (b, h, w, 3) RGB as the network wants them, (b, 3, size_px, size_px) float32."""
        x = images.resize(faces, self.size_px).astype(np.float32)
        x = x[..., ::-1] if self.card.colour == "bgr" else x
        return np.ascontiguousarray(((x - self.mean) / self.std).transpose(0, 3, 1, 2))

    def embed(self, faces: np.ndarray) -> np.ndarray:
        """Return un-normalised embeddings (b, d) float32 of faces uint8 (b, h, w, 3) RGB of any size."""
        rows = [self._rows(faces[start : start + self._chunk]) for start in range(0, len(faces), self._chunk)]
        return np.concatenate(rows) if rows else np.empty((0, self.embedding_size), np.float32)

    def _rows(self, faces: np.ndarray) -> np.ndarray:
        padded = np.zeros((self._chunk, 3, self.size_px, self.size_px), np.float32)
        padded[: len(faces)] = self.prepared(faces)
        return self._run(padded)[: len(faces)]
