"""Photographs from outside: the square of one that the networks here see."""

import cv2
import numpy as np

TEMPLATE_PX = 112  # side of a face that is aligned as for ArcFace


def square(photograph: np.ndarray, side_px: float, x_px: float, y_px: float) -> np.ndarray:
    """Return the square of a photograph (h, w, 3) that is `side_px` wide about a pixel, its edge replicated."""
    height, width = photograph.shape[:2]
    side = round(side_px)
    left, top = round(x_px - side / 2), round(y_px - side / 2)
    pad = max(0, -left, -top, left + side - width, top + side - height)
    wide = cv2.copyMakeBorder(photograph, pad, pad, pad, pad, cv2.BORDER_REPLICATE)
    return wide[top + pad : top + pad + side, left + pad : left + pad + side]


def framed(face: np.ndarray, frame_px: float) -> np.ndarray:
    """Return the square of an aligned face (h, w, 3) that shows `frame_px` of ArcFace's 112 px template.

    The longer side is taken for the side of the template, in which aligned faces come; the square keeps its centre.
    """
    height, width = face.shape[:2]
    return square(face, max(height, width) * frame_px / TEMPLATE_PX, width / 2, height / 2)
