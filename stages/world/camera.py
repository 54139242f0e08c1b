"""The camera's flaws, in OpenCV: occluder, blur, noise, JPEG; at spread 0 only the lens is left."""

import math
from functools import cache

import cv2
import numpy as np

from stages.common.streams import stream
from stages.world import style

_LENS_PX = 0.45
_GRAIN_OFFSETS = 256  # places along each axis where an image's noise may start in the grain
_LEAST_LOSS = 3  # JPEG above quality 97 shows no difference


def _occlude(image: np.ndarray, size: float, rng: np.random.Generator) -> np.ndarray:
    """Let a plain ellipse of about `size` of the width reach into the image from its border, as a hand does."""
    h = image.shape[0]
    angle = rng.uniform(0, 2 * math.pi)
    centre = (0.5 + 0.5 * np.array([math.cos(angle), math.sin(angle)])) * h
    axes = np.maximum(rng.uniform(0.4, 0.9, 2) * size * h, 1)
    colour = (rng.uniform(0.05, 0.7) + rng.uniform(-0.08, 0.08, 3)).clip(0, 1).astype(np.float32)
    mask = np.zeros((h, h), np.float32)
    middle = (int(centre[0]), int(centre[1]))
    cv2.ellipse(mask, middle, (int(axes[0]), int(axes[1])), rng.uniform(0, 180), 0, 360, 1.0, -1)
    mask = cv2.GaussianBlur(mask, (0, 0), 0.01 * h)[..., None]
    return image * (1 - mask) + mask * colour


def _motion(image: np.ndarray, length_px: float, rng: np.random.Generator) -> np.ndarray:
    """Blur along a random straight line of length_px pixels."""
    size = 2 * math.ceil(length_px / 2) + 1
    kernel = np.zeros((size, size), np.float32)
    angle, c = rng.uniform(0, math.pi), (size - 1) / 2
    for t in np.linspace(-length_px / 2, length_px / 2, 4 * size):
        kernel[round(c + t * math.sin(angle)), round(c + t * math.cos(angle))] += 1
    return cv2.filter2D(image, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REPLICATE)


@cache
def _grain(size: int) -> np.ndarray:
    """Return fixed white noise of unit variance from which images of this size cut theirs."""
    side = size + _GRAIN_OFFSETS
    return stream("grain", size).standard_normal((side, side, 3), np.float32)


def _noise(size: int, sd: float, rng: np.random.Generator) -> np.ndarray:
    """Cut noise (size, size, 3) from the grain at a random place, perhaps mirrored and negated.

    To draw all numbers anew for every image would take longer than the rest of the camera.
    """
    row, col = rng.integers(0, _GRAIN_OFFSETS, 2)
    down, right, sign = (int(s) for s in rng.integers(0, 2, 3) * 2 - 1)
    return sign * sd * _grain(size)[row : row + size, col : col + size][::down, ::right]


def _jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    """Compress an RGB uint8 image to JPEG and back."""
    _, code = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = cv2.imdecode(code, cv2.IMREAD_COLOR)
    assert decoded is not None  # it was encoded just above
    return cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)


def expose(image: np.ndarray, row: np.ndarray, seed: int) -> np.ndarray:
    """Photograph one rendered image (h, h, 3) in [0, 1] as uint8, by its style row and seed.

    Lengths in the style are in pixels of the 112 px template and scale with h.
    """
    rng = stream("camera", seed)
    scale = image.shape[0] / 112.0
    occluder, blur, motion, noise, loss = (
        float(row[style.column(n)]) for n in ("occluder_size", "blur_px", "motion_px", "noise_sd", "jpeg_loss")
    )
    if occluder > 0.12:  # smaller ones would be dots
        image = _occlude(image, occluder, rng)
    # The lens itself spreads light over half a pixel, which also softens rendered outlines.
    image = cv2.GaussianBlur(image, (0, 0), math.hypot(_LENS_PX, blur * scale))
    if motion * scale > 0.7:
        image = _motion(image, motion * scale, rng)
    if noise > 0:
        image = image + _noise(len(image), noise, rng)
    pixels = (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)
    return pixels if loss < _LEAST_LOSS else _jpeg(pixels, round(100 - loss))
