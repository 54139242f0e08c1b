"""Photographs from outside: the square of one that the networks here see, and how it is stored."""

import io
import struct
import warnings
from collections.abc import Callable

import cv2
import numpy as np
from PIL import ExifTags, Image

from stages.common import images
from stages.common.errors import InputError

PNG, PNG_BITS = b"\x89PNG", 24  # how a PNG begins, and the byte that says how many bits a channel has
BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error, Warning, Image.DecompressionBombError)  # in Pillow
TEMPLATE_PX = 112  # side of a face that is aligned as for ArcFace


def square(photograph: np.ndarray, side_px: float, x_px: float, y_px: float) -> np.ndarray:
    """Return the square of a photograph (h, w, 3) that is `side_px` wide about a pixel, its edge replicated."""
    height, width = photograph.shape[:2]
    side = max(1, round(side_px))
    left, top = round(x_px - side / 2), round(y_px - side / 2)
    above, below, before, after = (max(0, gap) for gap in (-top, top + side - height, -left, left + side - width))
    wide = cv2.copyMakeBorder(photograph, above, below, before, after, cv2.BORDER_REPLICATE)
    return wide[top + above : top + above + side, left + before : left + before + side]


def framed(face: np.ndarray, frame_px: float) -> np.ndarray:
    """Return the square of an aligned face (h, w, 3) that shows `frame_px` of ArcFace's 112 px template.

    Aligned faces come in the template's own square: the longer side counts as its side. The centre stays.
    """
    height, width = face.shape[:2]
    return square(face, max(height, width) * frame_px / TEMPLATE_PX, width / 2, height / 2)


def square_bytes(
    encoded: bytes,
    source: str,
    cut: Callable[[np.ndarray], np.ndarray],
    size_px: int,
    declared: tuple[int, int] | None = None,
) -> bytes:
    """Return the face in a photograph at size_px as lossless PNG, or the bytes as they are where no pixel changes.

    cut: returns the square (s, s, 3) of a photograph (h, w, 3). Raises InputError naming `source` when the image is
    broken or of another height and width than declared.
    """
    photograph = images.decode(encoded, source)
    if declared not in (None, photograph.shape[:2]):
        height, width = photograph.shape[:2]
        allowed = f"{declared[0]} x {declared[1]}, as declared"
        raise InputError(source, f"{height} x {width} pixels", allowed=allowed)
    face = images.resize(cut(photograph)[None], size_px)[0]
    return encoded if np.array_equal(face, photograph) and plain(encoded) else lossless(face)


def plain(encoded: bytes) -> bool:
    """Return whether all readers see the same picture: JPEG, PNG or WebP, grey or RGB of 8 bits, not turned by EXIF.

    Readers differ in whether they obey EXIF, in CMYK, alpha, palettes and 16 bits, and in the other formats they know.
    """
    try:
        with (
            warnings.catch_warnings(action="error"),
            Image.open(io.BytesIO(encoded), formats=("JPEG", "PNG", "WEBP")) as image,
        ):
            deep = encoded.startswith(PNG) and encoded[PNG_BITS] != 8  # which Pillow's mode does not tell of RGB
            upright = image.getexif().get(ExifTags.Base.Orientation, 1) == 1
            return image.mode in ("L", "RGB") and upright and not deep and "transparency" not in image.info
    except BROKEN:
        return False


def lossless(face: np.ndarray) -> bytes:
    """Return an RGB face (h, w, 3) uint8 as PNG bytes."""
    done, buffer = cv2.imencode(".png", cv2.cvtColor(face, cv2.COLOR_RGB2BGR))
    assert done
    return buffer.tobytes()
