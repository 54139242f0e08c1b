"""Align full-size pictures of faces to ArcFace's five points: eyes, tip of the nose, corners of the mouth.

A detector finds the points in each picture. Without a detector, or where it finds no face, the picture gets a fixed
crop, as if its face lay where those of FFHQ and CelebA-HQ lie on average. The `domain` of an image tells which: NAME or
NAME-fixed-crop.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from stages.common import devices
from stages.common.errors import InputError
from stages.common.images import Shards
from stages.common.params import NONE, below_data
from stages.common.world import World
from stages.foreign import bounded, graphs, photographs, pretrained
from stages.foreign.photographs import TEMPLATE_PX

FIXED = "-fixed-crop"
# pixels of 112, by the centres of pixels (insightface, utils/face_align.py)
ARCFACE = np.array([[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]])
# the same five points in a picture cropped as FFHQ is, in shares of its side (facexlib's template for 512 pixels)
FFHQ = (
    np.array(
        [
            [192.98138, 239.94708],
            [318.90277, 240.1936],
            [256.63416, 314.01935],
            [201.26117, 371.41043],
            [313.08905, 371.15118],
        ]
    )
    / 512
)


def similarity(points: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the matrix (2, 3) of rotation, scale and shift that takes points (k, 2) nearest to `target` (k, 2).

    In the plane, Umeyama's least squares are a regression of complex numbers. Raises InputError when all points are the
    same.
    """
    z, w = (xy[:, 0] + 1j * xy[:, 1] for xy in (points.astype(np.float64), target.astype(np.float64)))
    centred = z - z.mean()
    if not (spread := np.vdot(centred, centred).real) > 0:
        raise InputError(None, "all in one place", key="landmarks", allowed="five points of a face")
    a = np.vdot(centred, w - w.mean()) / spread
    shift = w.mean() - a * z.mean()
    return np.array([[a.real, -a.imag, shift.real], [a.imag, a.real, shift.imag]])


def template(size_px: int, frame_px: float) -> np.ndarray:
    """Return where the five points (5, 2) lie in a square of size_px that shows frame_px of ArcFace's 112."""
    from_centre = ARCFACE + 0.5 - TEMPLATE_PX / 2
    return from_centre * size_px / frame_px + size_px / 2 - 0.5


def usual_points(picture: np.ndarray) -> np.ndarray:
    """Return where the five points (5, 2) lie on average in a picture (h, w, 3) that is cropped as FFHQ's are.

    If the picture is no square, they lie in the square in its middle.
    """
    sides = np.array(picture.shape[1::-1])
    return FFHQ * sides.min() + (sides - sides.min()) / 2


def warp(picture: np.ndarray, matrix: np.ndarray, size_px: int) -> np.ndarray:
    """Return the square (size_px, size_px, 3) to which a matrix (2, 3) takes a picture (h, w, 3), its edge replicated.

    Linear interpolation, as insightface's. A picture that shrinks to less than half is averaged over whole pixels
    first, which insightface does not do: Arc2Face's 512 pixels would be sampled at every fourth.
    """
    height, width = picture.shape[:2]
    shrink = int(1 / np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    if shrink > 1:
        small = max(width // shrink, 1), max(height // shrink, 1)
        picture = cv2.resize(picture, small, interpolation=cv2.INTER_AREA)
        x, y = width / small[0], height / small[1]
        matrix = matrix @ np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2], [0, 0, 1]])
    return cv2.warpAffine(picture, matrix, (size_px, size_px), borderMode=cv2.BORDER_REPLICATE)


class Aligner:
    """Aligns pictures to squares of size_px that show frame_px of ArcFace's 112."""

    def __init__(self, size_px: int, frame_px: float, detector: Any = None) -> None:
        """Hold the size, the frame and insightface's detector, if there is one."""
        self.size_px, self.target, self.detector = size_px, template(size_px, frame_px), detector

    def align(self, pictures: Iterable[np.ndarray], name: str) -> tuple[np.ndarray, list[str]]:
        """Return faces (b, size_px, size_px, 3) of RGB pictures (h, w, 3) of any size, and each one's domain."""
        faces, domains = [], []
        for picture in pictures:
            points = self.landmarks(picture)
            domains.append(name + FIXED if points is None else name)
            points = usual_points(picture) if points is None else points
            faces.append(warp(picture, similarity(points, self.target), self.size_px))
        return np.stack(faces), domains

    def encoded(self, pictures: Iterable[np.ndarray], name: str) -> tuple[list[bytes], list[str]]:
        """Return faces of RGB pictures (h, w, 3) of any size as lossless PNG, and each one's domain."""
        faces, domains = self.align(pictures, name)
        return [photographs.lossless(face) for face in faces], domains

    def landmarks(self, picture: np.ndarray) -> np.ndarray | None:
        """Return the five points (5, 2) of the largest face in a picture (h, w, 3) RGB, None where none is found."""
        if self.detector is None:
            return None
        boxes, points = self.detector.detect(np.ascontiguousarray(picture[:, :, ::-1]))
        if len(boxes) == 0:
            return None
        largest = points[np.argmax((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))]
        return largest if np.ptp(largest, axis=0).min() > 1 else None  # else five points on a line are no face


def fixed_crops(folder: str | Path) -> str:
    """Return how many images in a folder's shards have a fixed crop, as the end of a sentence; empty when none has."""
    shards = Shards(folder, "*-[0-9]*.arrow")
    domains = (entry for shard in shards.shards for entry in shard.table["domain"].value_counts().to_pylist())
    count = sum(domain["counts"] for domain in domains if domain["values"].endswith(FIXED))
    return f", {count} of {len(shards)} with a fixed crop" if count else ""


def load(world: World) -> Aligner:
    """Return the aligner of `world`; raises InputError when its detector cannot be used."""
    detector = None if world.detector == NONE else _detector(below_data(world.detector))
    return Aligner(world.size_px, world.photo_frame_px, detector)


def _detector(file: Path) -> Any:
    _, scrfd = (pretrained.library(name, "align") for name in ("onnxruntime", "insightface.model_zoo.scrfd"))
    if not file.is_file():
        raise InputError(file, "no such file", key="world.detector", allowed="an .onnx detector, or none")
    graphs.loaded(file)
    try:
        session = graphs.session(file, devices.providers())
    except Exception as error:  # onnxruntime has an exception class for each of its failures
        raise InputError(file, f"not a readable ONNX file: {bounded.short(error)}") from error
    count = len(session.get_outputs())
    if count not in (9, 15):
        raise InputError(file, key="outputs", value=count, allowed="9 or 15, an SCRFD detector with five points")
    return scrfd.SCRFD(model_file=str(file), session=session)
