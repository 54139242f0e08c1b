"""Augment one face at a time: AdaFace's crop, low resolution and photometric change, and random erasing.

Each function takes a face (s, s, c) uint8, RGB or grey, and draws from the generator passed to it, which `varied` keys
by seed, epoch and sample: neither the batch around a sample nor who computes it changes the face.

AdaFace (CVPR 2022) names its three and their share, 0.2; the ranges are those of its public code.
"""

import cv2
import numpy as np

from stages.common.streams import stream
from stages.training.settings import Augment

CROP_AREA, CROP_ASPECT = (0.2, 1.0), (3 / 4, 4 / 3)
SMALL_SIDE = (0.2, 1.0)  # of low resolution, as a part of the side
INTERPOLATIONS = (cv2.INTER_NEAREST, cv2.INTER_LINEAR, cv2.INTER_AREA, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4)
PHOTOMETRIC = (0.5, 1.5)  # factors of brightness, contrast and saturation
ERASED_AREA, ERASED_ASPECT = (0.02, 0.4), (0.3, 1 / 0.3)
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


def varied(face: np.ndarray, cfg: Augment, seed: int, epoch: int, sample: int) -> np.ndarray:
    """Return the face as this epoch of this seed shows the sample; flip and jitter are not of this module."""
    rng = stream("augmentation", seed, epoch, sample)
    shares = {cropped: cfg.crop, low_resolution: cfg.low_res, photometric: cfg.photometric, erased: cfg.erase}
    drawn = rng.random(len(shares))
    for (change, share), number in zip(shares.items(), drawn, strict=True):
        if number < share:
            face = change(face, rng)
    return face


def cropped(face: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the face with black around a random box, which stays where it is."""
    box, out = _box(len(face), CROP_AREA, CROP_ASPECT, rng), np.zeros_like(face)
    out[box] = face[box]
    return out


def low_resolution(face: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the face shrunk and enlarged again, each by one of INTERPOLATIONS."""
    side = max(1, int(rng.uniform(*SMALL_SIDE) * len(face)))
    down, up = (INTERPOLATIONS[i] for i in rng.integers(len(INTERPOLATIONS), size=2))
    small = cv2.resize(face, (side, side), interpolation=down)
    return cv2.resize(small, face.shape[:2], interpolation=up).reshape(face.shape)


def photometric(face: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the face with other brightness, contrast and saturation, changed in a random order.

    Each is the face blended with another one: black, its mean grey, its own grey. AdaFace's code hands faces to it with
    blue for red, so that its greys weigh the wrong colours; here they weigh the right ones. A grey face has no
    saturation.
    """
    changes = (_brightness, _contrast, _saturation)[: 3 if face.shape[2] == 3 else 2]
    for i in rng.permutation(len(changes)):
        face = changes[i](face, rng.uniform(*PHOTOMETRIC)).reshape(face.shape)
    return face


def erased(face: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the face with noise in a random box (Zhong et al., Random Erasing, AAAI 2020; each pixel from 0 to 255).

    The paper's figures, with noise as it recommends; its public code fills the box with a mean colour. Its aspect is
    drawn in logarithms, so that tall and wide are as frequent.
    """
    box, out = _box(len(face), ERASED_AREA, ERASED_ASPECT, rng), face.copy()
    out[box] = rng.integers(0, 256, out[box].shape, np.uint8)
    return out


def _brightness(face: np.ndarray, factor: float) -> np.ndarray:
    return _blended(face, 0.0, factor)


def _contrast(face: np.ndarray, factor: float) -> np.ndarray:
    mean = cv2.mean(face)[: face.shape[2]]
    return _blended(face, float(np.dot(mean, LUMA)) if len(mean) == 3 else mean[0], factor)


def _saturation(face: np.ndarray, factor: float) -> np.ndarray:
    grey = cv2.cvtColor(cv2.cvtColor(face, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return cv2.addWeighted(face, factor, grey, 1 - factor, 0)


def _blended(face: np.ndarray, level: float, factor: float) -> np.ndarray:
    return cv2.addWeighted(face, factor, face, 0, (1 - factor) * level)


def _box(
    side: int, area: tuple[float, float], aspect: tuple[float, float], rng: np.random.Generator
) -> tuple[slice, slice]:
    """Draw the rows and columns of a box within a face: its area as a part of the face's, its width over its height."""
    while True:
        pixels, ratio = rng.uniform(*area) * side**2, np.exp(rng.uniform(*np.log(aspect)))
        height, width = round(np.sqrt(pixels / ratio)), round(np.sqrt(pixels * ratio))
        if 0 < height <= side and 0 < width <= side:
            top, left = rng.integers(side - height + 1), rng.integers(side - width + 1)
            return slice(top, top + height), slice(left, left + width)
