"""Identities: what makes a person, as standardised coordinates."""

import zlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from stages.common.streams import stream

# Each named coordinate with its weights on the three population axes: dimorphism (axis 0, which is
# the coordinate `sex` itself) and two ancestry-like axes. Unlisted weights are 0.
_NAMED: dict[str, tuple[float, float, float]] = {
    "sex": (1.0, 0.0, 0.0),
    "skin_tone": (0.05, 0.75, 0.15), "skin_red": (0.0, -0.2, 0.0), "skin_yellow": (0.0, 0.1, 0.5),
    "skin_gloss": (0.1, 0.2, 0.0), "blush": (-0.3, -0.1, 0.0), "freckles": (0.0, -0.5, -0.2),
    "mole_x": (0.0, 0.0, 0.0), "mole_y": (0.0, 0.0, 0.0), "mole_size": (0.0, 0.0, 0.0),
    "hair_dark": (0.0, 0.55, 0.45), "hair_red": (0.0, -0.2, -0.2), "hair_length": (-0.8, 0.0, 0.0),
    "hair_volume": (-0.2, 0.3, -0.2), "hair_fringe": (-0.1, -0.2, 0.3),
    "hair_parting": (0.0, 0.0, 0.0), "hair_curl": (-0.1, 0.5, -0.4),
    "hairline": (-0.2, 0.0, 0.1), "baldness": (0.75, 0.0, -0.2), "beard": (0.8, 0.1, -0.2),
    "moustache": (0.5, 0.0, 0.0), "glasses": (0.0, 0.0, 0.0), "glasses_size": (0.0, 0.0, 0.0),
    "glasses_round": (0.0, 0.0, 0.0), "glasses_frame": (0.0, 0.0, 0.0),
    "age": (0.0, 0.0, 0.0), "age_wrinkle": (0.0, -0.2, 0.0), "age_sag": (0.1, 0.0, 0.0),
    "age_grey": (0.0, -0.1, 0.0), "age_hairloss": (0.4, 0.0, -0.1),
    "age_fat": (0.0, 0.0, 0.0), "eye_dark": (0.0, 0.55, 0.5), "eye_green": (0.0, 0.0, 0.0),
    "face_width": (0.2, 0.0, 0.25), "face_length": (0.3, 0.0, -0.1), "face_depth": (0.1, 0.2, -0.3),
    "forehead": (-0.2, 0.1, 0.1), "temple": (0.0, 0.0, 0.1), "cheekbone": (-0.1, 0.1, 0.4),
    "cheek_full": (-0.2, 0.1, 0.2), "jaw_width": (0.55, 0.0, 0.1), "jaw_drop": (0.3, 0.0, 0.0),
    "chin_length": (0.35, 0.0, -0.1), "chin_width": (0.5, 0.0, 0.0), "chin_out": (0.2, -0.2, -0.2),
    "chin_cleft": (0.3, 0.0, 0.0), "neck_width": (0.7, 0.0, 0.0), "eye_spacing": (0.0, 0.2, 0.1),
    "eye_height": (0.0, 0.0, 0.0), "eye_size": (-0.4, 0.1, -0.1), "eye_open": (-0.3, 0.1, -0.35),
    "eye_tilt": (-0.2, 0.0, 0.5), "eye_depth": (0.3, -0.2, -0.5), "lid_fold": (0.1, 0.0, 0.5),
    "eye_bag": (0.1, 0.1, 0.0), "brow_height": (-0.45, 0.0, 0.2), "brow_thick": (0.6, 0.1, -0.1),
    "brow_arch": (-0.4, 0.0, 0.0), "brow_tilt": (0.0, 0.0, 0.2), "brow_length": (0.0, 0.0, -0.1),
    "brow_dark": (0.2, 0.2, 0.2), "brow_gap": (-0.2, 0.0, 0.1), "brow_ridge": (0.6, 0.1, -0.3),
    "nose_length": (0.25, -0.2, 0.0), "nose_width": (0.2, 0.6, 0.15),
    "nose_bridge": (0.2, -0.4, -0.4), "nose_hump": (0.25, -0.1, -0.2),
    "nose_tip": (0.1, 0.3, 0.0), "nose_up": (-0.3, 0.1, 0.1), "nose_out": (0.3, -0.2, -0.3),
    "nostril": (0.1, 0.4, 0.0), "mouth_width": (0.25, 0.25, -0.1), "mouth_height": (0.0, 0.0, 0.0),
    "lip_upper": (-0.3, 0.5, 0.0), "lip_lower": (-0.25, 0.45, 0.0), "lip_bow": (-0.2, 0.0, 0.1),
    "lip_red": (-0.4, -0.1, 0.0), "mouth_tilt": (0.0, 0.0, 0.0), "mouth_out": (0.0, 0.5, 0.1),
    "ear_size": (0.3, 0.0, 0.0), "ear_out": (0.1, 0.0, 0.0), "ear_height": (0.0, 0.0, 0.0),
    "skew_nose": (0.0, 0.0, 0.0), "skew_mouth": (0.0, 0.0, 0.0), "skew_eyes": (0.0, 0.0, 0.0),
}  # fmt: skip

SHAPE_RESIDUALS = 24
TEXTURE_RESIDUALS = 24
NAMES: tuple[str, ...] = (
    *_NAMED,
    *(f"shape_{i}" for i in range(SHAPE_RESIDUALS)),
    *(f"texture_{i}" for i in range(TEXTURE_RESIDUALS)),
)
IDENTITY_DIM: int = len(NAMES)
SHAPE = slice(len(_NAMED), len(_NAMED) + SHAPE_RESIDUALS)  # the columns shape_0, shape_1, ...
TEXTURE = slice(SHAPE.stop, SHAPE.stop + TEXTURE_RESIDUALS)
_COLUMN = {name: i for i, name in enumerate(NAMES)}
_LIMIT = 3.2  # standard deviations; the renderer stays face-like up to here
_ABSURD = 100.0  # what lies further out is no result of an optimiser but a mistake


def column(name: str) -> int:
    """Return the column of a named coordinate; `KeyError` for an unknown name."""
    return _COLUMN[name]


def _axis_weights() -> np.ndarray:
    """Return the loadings (IDENTITY_DIM, 3) of every coordinate on the population axes."""
    weights = np.zeros((IDENTITY_DIM, 3))
    weights[: len(_NAMED)] = list(_NAMED.values())
    return weights


def _sample_one(key: tuple[int, int, int], weights: np.ndarray) -> np.ndarray:
    """Draw one identity (IDENTITY_DIM,) from the generator of its key (split, seed, index)."""
    rng = stream("person", *key)
    axes = rng.standard_normal(3)
    # Two overlapping groups rather than one bell, of unit variance: .9**2 + .436**2 = 1.
    axes[0] = 0.9 * rng.choice((-1.0, 1.0)) + 0.436 * axes[0]
    own = np.sqrt(1.0 - (weights**2).sum(1))
    return weights @ axes + own * rng.standard_normal(IDENTITY_DIM)


def sample(split: str, seed: int, index: Sequence[int] | np.ndarray) -> Tensor:
    """Draw identities `index` of population (split, seed) as (b, IDENTITY_DIM) float32.

    Each identity has its own generator, so neither count nor order matters, and two splits are
    disjoint populations.
    """
    weights = _axis_weights()
    split_key = zlib.crc32(split.encode())
    rows = [_sample_one((split_key, seed, int(i)), weights) for i in index]
    return torch.from_numpy(np.array(rows, np.float32).reshape(len(rows), IDENTITY_DIM))


def limits() -> list[tuple[float, float]]:
    """Return the lowest and the highest value of each coordinate that the renderer takes, far beyond what it shows."""
    return [(-_ABSURD, _ABSURD)] * IDENTITY_DIM


def bounded(z: Tensor) -> Tensor:
    """Limit z softly to |z| < 3.2, nearly the identity inside 2; differentiable.

    The renderer applies it to every z, so an optimiser cannot leave the world of faces.
    """
    z = z.clamp(-1e3, 1e3)  # keeps the sixth power finite
    return z * (1.0 + (z / _LIMIT).square() ** 3) ** (-1.0 / 6.0)


def attributes(z: Tensor) -> dict[str, Tensor]:
    """Return what impostors are matched by, each (b,): sex (+ male), skin (+ dark), age_years."""
    z = bounded(z)
    return {
        "sex": z[:, column("sex")],
        "skin": z[:, column("skin_tone")],
        "age_years": 38.0 + 32.0 * torch.tanh(0.6 * z[:, column("age")]),
    }
