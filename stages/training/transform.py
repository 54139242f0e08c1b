"""Transform faces at random while training; each function draws from the generator passed to it."""

import cv2
import numpy as np

# Faces in photographs are never cropped as exactly as rendered ones: a fifth of this jitter costs 4 points on them.
SIDE_LOG = 0.06  # the crop's side is exp(0.06 n) times the face's
SHIFT = 5 / 112  # of the side
ANGLE_DEG = 5.0

BLUR_SHARE, BLUR = 0.5, 1.5 / 64  # share of blurred faces; largest standard deviation as a part of the side
GAIN_LOG, GAMMA_LOG, SHADING = 0.25, 0.25, 0.5


def jittered(faces: np.ndarray, rng: np.random.Generator, amount: float = 1.0) -> np.ndarray:
    """Return faces (b, s, s, c) uint8, half of them mirrored, all slightly scaled, shifted and rotated.

    `amount` multiplies SIDE_LOG, SHIFT and ANGLE_DEG.
    """
    b, s = faces.shape[:2]
    mirror = np.where(rng.random(b) < 0.5, -1, 1)
    side = np.exp(amount * SIDE_LOG * rng.standard_normal(b))
    shift = amount * SHIFT * s * rng.standard_normal((b, 2))
    angle = np.radians(amount * ANGLE_DEG) * rng.standard_normal(b)
    cos, sin = np.cos(angle) / side, np.sin(angle) / side
    turn = np.array([[cos * mirror, -sin], [sin * mirror, cos]]).transpose(2, 0, 1)  # (b, 2, 2)
    centre = np.full(2, (s - 1) / 2)
    moves = np.concatenate([turn, (centre - turn @ centre + shift)[:, :, None]], 2)
    out = np.empty_like(faces)
    for face, move, moved in zip(faces, moves, out, strict=True):
        cv2.warpAffine(face, move, (s, s), dst=moved, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return out


def augmented(faces: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return faces (b, s, s, c) uint8 with random blur and illumination: gain, gamma and light from a side.

    SynFace's first remedy against the gap between rendered and real faces, before it turns to mixup.
    """
    b, s = faces.shape[:2]
    blur = np.where(rng.random(b) < BLUR_SHARE, BLUR * s * rng.random(b), 0)
    x = np.stack([cv2.GaussianBlur(face, (0, 0), max(sd, 1e-3)) for face, sd in zip(faces, blur, strict=True)])
    gain, gamma = np.exp([[GAIN_LOG], [GAMMA_LOG]] * rng.standard_normal((2, b)))
    towards = rng.uniform(0, 2 * np.pi, b)
    slope = gain * SHADING * rng.random(b) / np.sqrt(2)
    parts = np.array([gain, slope * np.cos(towards), slope * np.sin(towards)], np.float32)
    level, along_x, along_y = parts[..., None, None]
    across = np.linspace(-1, 1, s, dtype=np.float32)
    light = level + along_x * across + along_y * across[:, None]  # (b, s, s)
    curve = ((np.arange(256) / 255.0) ** gamma[:, None]).astype(np.float32)  # (b, 256), by grey level
    x = np.stack([cv2.LUT(face, levels) for levels, face in zip(curve, x, strict=True)]).reshape(faces.shape)
    return np.round(255 * np.clip(x * light[..., None], 0, 1)).astype(np.uint8)
