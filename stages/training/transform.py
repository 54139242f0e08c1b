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
    mirror = rng.random(len(faces)) < 0.5
    return warped(faces, drawn_moves(mirror, faces.shape[1], rng, amount))


def drawn_moves(mirror: np.ndarray, s: int, rng: np.random.Generator, amount: float = 1.0) -> np.ndarray:
    """Draw the affine maps (b, 2, 3) of the jitter, in pixels of faces of side s; those with `mirror` (b,) mirror."""
    b, sign = len(mirror), np.where(mirror, -1, 1)
    side = np.exp(amount * SIDE_LOG * rng.standard_normal(b))
    shift = amount * SHIFT * s * rng.standard_normal((b, 2))
    angle = np.radians(amount * ANGLE_DEG) * rng.standard_normal(b)
    cos, sin = np.cos(angle) / side, np.sin(angle) / side
    turn = np.array([[cos * sign, -sin], [sin * sign, cos]]).transpose(2, 0, 1)  # (b, 2, 2)
    centre = np.full(2, (s - 1) / 2)
    return np.concatenate([turn, (centre - turn @ centre + shift)[:, :, None]], 2)


def warped(faces: np.ndarray, moves: np.ndarray) -> np.ndarray:
    """Return faces (b, s, s, c) uint8, each moved by its map (b, 2, 3), its edge repeated outside."""
    out, s = np.empty_like(faces), faces.shape[1]
    for face, move, moved in zip(faces, moves, out, strict=True):
        cv2.warpAffine(face, move, (s, s), dst=moved, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return out


def mirrored(faces: np.ndarray, mirror: np.ndarray) -> np.ndarray:
    """Return faces (b, s, s, c) uint8, those with `mirror` (b,) seen in one."""
    out = faces.copy()
    for i in np.flatnonzero(mirror):
        out[i] = cv2.flip(faces[i], 1).reshape(out[i].shape)
    return out


def augmented(faces: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return faces (b, s, s, c) uint8 with random blur and illumination: gain, gamma and light from a side.

    SynFace's first remedy against the gap between rendered and real faces, before it turns to mixup.
    """
    b, s = faces.shape[:2]
    return lit(faces, drawn_lights(b, s, rng))


def drawn_lights(b: int, s: int, rng: np.random.Generator) -> np.ndarray:
    """Draw blur (standard deviation in pixels), gamma, and the light's level and slope along x and y, as (b, 5)."""
    blur = np.where(rng.random(b) < BLUR_SHARE, BLUR * s * rng.random(b), 0)
    gain, gamma = np.exp([[GAIN_LOG], [GAMMA_LOG]] * rng.standard_normal((2, b)))
    towards = rng.uniform(0, 2 * np.pi, b)
    slope = gain * SHADING * rng.random(b) / np.sqrt(2)
    return np.stack([blur, gamma, gain, slope * np.cos(towards), slope * np.sin(towards)], 1)


def lit(faces: np.ndarray, lights: np.ndarray) -> np.ndarray:
    """Return faces (b, s, s, c) uint8 under `lights` (b, 5)."""
    s, (blur, gamma, *parts) = faces.shape[1], lights.T
    x = np.stack([cv2.GaussianBlur(face, (0, 0), max(sd, 1e-3)) for face, sd in zip(faces, blur, strict=True)])
    level, along_x, along_y = np.array(parts, np.float32)[..., None, None]
    across = np.linspace(-1, 1, s, dtype=np.float32)
    light = level + along_x * across + along_y * across[:, None]  # (b, s, s)
    curve = ((np.arange(256) / 255.0) ** gamma[:, None]).astype(np.float32)  # (b, 256), by grey level
    x = np.stack([cv2.LUT(face, levels) for levels, face in zip(curve, x, strict=True)]).reshape(faces.shape)
    return np.round(255 * np.clip(x * light[..., None], 0, 1)).astype(np.uint8)
