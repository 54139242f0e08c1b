"""Styles: what changes between two images of one person, as one row of numbers per image."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from stages.common.errors import InputError
from stages.common.streams import stream

_BACKGROUND = tuple(f"background_{i}" for i in range(14))


@dataclass(frozen=True)
class Column:
    """Say how a style column is drawn: its group, sd at spread 1 per domain, limit and shape.

    kind: "normal" is sd * N(0,1), "half" its absolute value, "rare" its part above 1.2 sd.
    """

    group: str
    studio: float
    wild: float
    limit: float
    kind: str = "normal"


_COLUMNS: dict[str, Column] = {
    "yaw_deg": Column("pose", 30, 40, 75),
    "pitch_deg": Column("pose", 13, 17, 40),
    "roll_deg": Column("pose", 12, 18, 45),
    "smile": Column("expression", 0.7, 0.9, 1.5),
    "mouth_open": Column("expression", 0.4, 0.6, 1.2, "half"),
    "brow_raise": Column("expression", 0.8, 1.0, 2),
    "brow_frown": Column("expression", 0.5, 0.7, 1.5, "half"),
    "lid_close": Column("expression", 0.5, 0.8, 1.0, "rare"),
    "squint": Column("expression", 0.35, 0.5, 1.0, "half"),
    "gaze_x_deg": Column("expression", 15, 20, 35),
    "gaze_y_deg": Column("expression", 7, 9, 18),
    "pucker": Column("expression", 0.6, 0.9, 1.2, "rare"),
    "jaw_side": Column("expression", 0.5, 0.7, 1.5),
    "key_azimuth_deg": Column("illumination", 45, 65, 100),
    "key_elevation_deg": Column("illumination", 22, 28, 55),
    "key_stops": Column("illumination", 0.5, 0.8, 1.8),
    "warmth": Column("illumination", 0.4, 0.9, 2),
    "exposure_stops": Column("illumination", 0.25, 0.5, 1.1),
    "ambient_red": Column("illumination", 0.3, 0.8, 2),
    "ambient_blue": Column("illumination", 0.3, 0.8, 2),
    "rim": Column("illumination", 0.4, 0.7, 1.5, "rare"),
    "background_light": Column("background", 0.8, 1.2, 2.5),
    "background_warm": Column("background", 0.6, 1.0, 2.5),
    "background_green": Column("background", 0.4, 1.0, 2.5),
    **{name: Column("background", 0.8, 1.2, 3) for name in _BACKGROUND},
    "age_offset_years": Column("age", 6, 12, 45),
    "hair_length_change": Column("hair", 0.2, 0.35, 2),
    "hair_volume_change": Column("hair", 0.3, 0.5, 2.5),
    "hair_fringe_change": Column("hair", 0.3, 0.5, 2.5),
    "hair_parting_change": Column("hair", 0.3, 0.5, 2.5),
    "hair_dye": Column("hair", 0.1, 0.2, 2),
    "lip_paint": Column("makeup", 0.6, 1.0, 1.5, "rare"),
    "eye_shadow": Column("makeup", 0.6, 1.0, 1.5, "rare"),
    "glasses_change": Column("glasses", 0.4, 0.6, 3),
    "glasses_dark": Column("glasses", 0.0, 0.9, 1.2, "rare"),
    "beard_change": Column("beard", 0.25, 0.45, 2.5),
    "distance_log": Column("camera", 0.2, 0.5, 1.0),
    "shift_x_px": Column("camera", 0.8, 1.6, 5),
    "shift_y_px": Column("camera", 0.8, 1.6, 5),
    "tilt_deg": Column("camera", 1.2, 2.5, 8),
    "zoom_log": Column("camera", 0.012, 0.03, 0.1),
    "balance_warm": Column("camera", 0.25, 0.8, 2),
    "balance_green": Column("camera", 0.15, 0.5, 1.5),
    "contrast": Column("camera", 0.4, 0.9, 2),
    "saturation": Column("camera", 0.3, 0.8, 2),
    "vignette": Column("camera", 0.2, 0.7, 2, "half"),
    "blur_px": Column("camera", 0.25, 0.7, 3.0, "half"),
    "motion_px": Column("camera", 1.0, 3.0, 9, "rare"),
    "noise_sd": Column("camera", 0.004, 0.012, 0.07, "half"),
    "jpeg_loss": Column("camera", 8, 24, 80, "half"),
    "occluder_size": Column("camera", 0.25, 0.6, 0.8, "rare"),
}

NAMES: tuple[str, ...] = tuple(_COLUMNS)
STYLE_DIM: int = len(NAMES)
_INDEX = {name: i for i, name in enumerate(NAMES)}
BACKGROUND = slice(_INDEX[_BACKGROUND[0]], _INDEX[_BACKGROUND[-1]] + 1)  # the columns background_0, background_1, ...
GROUPS: dict[str, list[int]] = {
    group: [i for i, c in enumerate(_COLUMNS.values()) if c.group == group]
    for group in dict.fromkeys(c.group for c in _COLUMNS.values())
}


def column(name: str) -> int:
    """Return the index of a style column; `KeyError` for an unknown name."""
    return _INDEX[name]


def limits() -> list[tuple[float, float]]:
    """Return the lowest and the highest value that `sample` draws of each column."""
    return [(-c.limit if c.kind == "normal" else 0.0, c.limit) for c in _COLUMNS.values()]


def neutral(b: int) -> Tensor:
    """Return b neutral styles (b, STYLE_DIM): frontal, at rest, soft frontal light, plain wall."""
    return torch.zeros(b, STYLE_DIM)


def _shaped(normal: np.ndarray) -> np.ndarray:
    """Turn N(0,1) draws (b, STYLE_DIM) into each column's kind, still of unit scale."""
    shaped = normal.copy()
    for i, spec in enumerate(_COLUMNS.values()):
        if spec.kind == "half":
            shaped[:, i] = np.abs(normal[:, i])
        elif spec.kind == "rare":
            shaped[:, i] = np.maximum(np.abs(normal[:, i]) - 1.2, 0.0)
    return shaped


def sample(seeds: np.ndarray, domain: str, spread: float) -> Tensor:
    """Draw one style per seed, (b, STYLE_DIM) float32; row i depends on seeds[i] alone.

    spread in [0, 2] scales every column, down to the neutral style at 0. Raises `InputError` for an unknown domain or a
    spread outside that range.
    """
    if domain not in ("studio", "wild"):
        raise InputError(None, key="domain", value=domain, allowed="studio, wild")
    if not (math.isfinite(spread) and 0.0 <= spread <= 2.0):
        raise InputError(None, key="spread", value=spread, allowed="0 to 2")
    rows = [stream("style", seed).standard_normal(STYLE_DIM) for seed in seeds]
    normal = np.array(rows).reshape(len(rows), STYLE_DIM)
    sd = np.array([getattr(c, domain) for c in _COLUMNS.values()])
    low, high = np.array(limits()).T
    style = np.clip(_shaped(normal) * sd * spread, low, high)
    return torch.from_numpy(style.astype(np.float32))
