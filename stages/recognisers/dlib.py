"""dlib's ResNet, trained on three million photographs of 7,485 people: a network whose weights `pip` brings.

King published it without reserving any rights (CC0, github.com/davisking/dlib-models). It computes on the CPU, on one
thread and without BLAS, a face at a time, so that a row is the same in every batch.
"""

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from stages.common import artifacts
from stages.common.errors import InputError
from stages.common.frames import Frame
from stages.foreign import packaged

SHA256 = "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30"  # of the published weights
SIDE_PX = 150  # of the chip that the network takes
# dlib cuts the chip by five landmarks (`get_face_chip`, padding 0.25). From where its predictor finds them in rendered
# portraits on average, it cuts a square of 97.5 px of ArcFace's template, whose middle lies 14.3 px below the
# template's and 1.2 px to the right. `SQUARE` has the template's middle, and the chip in its lower half.
SQUARE = Frame(194, 194, 126)
TOP, LEFT = 44, 24


class Dlib:
    """A `Recogniser` of rows whose norms are 1.2 to 1.5; `same_person` is the Euclidean distance that dlib allows."""

    embedding_size, same_person = packaged.EMBEDDING_SIZE, 0.6

    def __init__(self, net: Any) -> None:
        """Hold a `face_recognition_model_v1` of dlib."""
        self.net = net

    def embed(self, faces: np.ndarray, frame_px: float | None = None) -> np.ndarray:
        """Return un-normalised embeddings (b, 128) float32 of faces uint8 (b, h, w, 3) RGB of any size."""
        rows = [self.net.compute_face_descriptor(chip) for chip in chips(faces, frame_px)]
        return np.array(rows, np.float32).reshape(len(faces), self.embedding_size)


def chips(faces: np.ndarray, frame_px: float | None = None) -> list[np.ndarray]:
    """Return what the network sees of faces uint8 (b, h, w, 3): chips (150, 150, 3)."""
    square = SQUARE.of(faces, frame_px) if len(faces) else faces
    return [np.ascontiguousarray(face[TOP : TOP + SIDE_PX, LEFT : LEFT + SIDE_PX]) for face in square]


def load(network: str | Path) -> Dlib:
    """Return the network; `network` is `none`, for a package has its weights.

    Raises InputError when a package is missing, or its weights are others than the published ones.
    """
    file = packaged.weights()
    if artifacts.digest(file) != SHA256:
        raise InputError(file, "sha256 differs from that of the published weights")
    return Dlib(import_module(packaged.READER).face_recognition_model_v1(str(file)))
