"""Networks trained elsewhere: their card, and faces prepared as it says."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from stages.common import artifacts, digests, params
from stages.common.errors import InputError
from stages.common.frames import Frame
from stages.common.params import Count, Positive, settings

TEMPLATE_PX = 112.0  # what ArcFace's authors cut out, and whoever trained after them
Three = Annotated[list[float], Field(min_length=3, max_length=3)]
HeightWidth = Annotated[list[Count], Field(min_length=2, max_length=2)]
ThreePositive = Annotated[list[Positive], Field(min_length=3, max_length=3)]


@settings
class Card:
    """How faces are prepared for a network: x = (pixel - mean) / std, in the order of its channels.

    mean and std are one number or one for each channel, in `colour`'s order, of pixels in 0 to 255. `frame_px`: what
    the faces show of ArcFace's template of 112 px from top to bottom. `size_px`, a side or height and width, and
    `embedding_size` are checked against the network where the card has them; an ONNX network of free size needs
    size_px. `graph_normalises`: the card knows that an ONNX graph begins with arithmetic of its own. `sha256`: of the
    file of weights (with those beside it, in the order of their names, one after the other), checked; `about`: for
    people.
    """

    colour: Literal["rgb", "bgr"]
    mean: float | Three
    std: Positive | ThreePositive
    frame_px: Annotated[float, Field(ge=16, le=1120)] = TEMPLATE_PX
    size_px: Count | HeightWidth | None = None
    embedding_size: Count | None = None
    graph_normalises: bool = False
    sha256: str | None = None
    about: str = ""

    @property
    def normalises(self) -> bool:
        """Return whether the card's mean and std change pixels at all."""
        return bool(np.any(np.asarray(self.mean) != 0) or np.any(np.asarray(self.std) != 1))

    @property
    def size(self) -> tuple[int, int] | None:
        """Return height and width, where the card has them."""
        match self.size_px:
            case None:
                return None
            case int(side):
                return side, side
            case height, width:
                return height, width

    def check(self, weights: str | Path, size: tuple[int, int], embedding_size: int) -> None:
        """Raise InputError when the size or the embedding size of the network in `weights` is not the card's."""
        if self.size not in (None, size):
            size_px = size[0] if size[0] == size[1] else list(size)
            raise InputError(weights, key="size_px", value=size_px, allowed=f"{self.size_px}, as its card says")
        if self.embedding_size not in (None, embedding_size):
            allowed = f"{self.embedding_size}, as its card says"
            raise InputError(weights, key="embedding_size", value=embedding_size, allowed=allowed)

    def verify(self, weights: str | Path, beside: Iterable[str] = ()) -> None:
        """Raise InputError when the card has another digest of the weights, with the files beside them."""
        files = (Path(weights), *map(Path(weights).with_name, beside))
        if self.sha256 is not None and self.sha256 != digests.shared(*files):
            raise InputError(weights, "sha256 differs from the one in its card", allowed=self.sha256)


def read(network: str | Path) -> Card:
    """Return the card of a network; raises InputError when it is missing or broken."""
    file = Path(network, artifacts.CARD)
    return params.check("card", artifacts.read_json(file), Card, file)


class Published:
    """A network trained elsewhere; a `Recogniser`.

    `run` maps prepared faces (chunk, 3, height, width) float32 to rows (chunk, embedding_size). Every call has `chunk`
    faces, padded, so that a row does not depend on the batch around it.
    """

    def __init__(
        self,
        card: Card,
        size: tuple[int, int],
        embedding_size: int,
        chunk: int,
        run: Callable[[np.ndarray], np.ndarray],
    ) -> None:
        """Hold a network that runs, and the card that describes it."""
        self.card, self.frame, self.embedding_size = card, Frame(*size, card.frame_px), embedding_size
        self.mean, self.std = (np.asarray(value, np.float32) for value in (card.mean, card.std))
        self._chunk, self._run = chunk, run

    def prepared(self, faces: np.ndarray, frame_px: float | None = None) -> np.ndarray:
        """Return faces uint8 (b, h, w, 3) RGB as inputs of the network, (b, 3, height, width) float32."""
        x = self.frame.of(faces, frame_px).astype(np.float32)
        x = x[..., ::-1] if self.card.colour == "bgr" else x
        return np.ascontiguousarray(((x - self.mean) / self.std).transpose(0, 3, 1, 2))

    def embed(self, faces: np.ndarray, frame_px: float | None = None) -> np.ndarray:
        """Return un-normalised embeddings (b, d) float32 of faces uint8 (b, h, w, 3) RGB of any size."""
        starts = range(0, len(faces), self._chunk)
        rows = [self._rows(faces[start : start + self._chunk], frame_px) for start in starts]
        return np.concatenate(rows) if rows else np.empty((0, self.embedding_size), np.float32)

    def _rows(self, faces: np.ndarray, frame_px: float | None) -> np.ndarray:
        padded = np.zeros((self._chunk, 3, self.frame.height, self.frame.width), np.float32)
        padded[: len(faces)] = self.prepared(faces, frame_px)
        return self._run(padded)[: len(faces)]
