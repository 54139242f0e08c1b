"""Embedded images of people: the generator's, and unrelated ones of the same domain to compare with."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from stages.common import sphere
from stages.common.images import Shards
from stages.recognisers import Recogniser
from stages.settings.audit import Audit
from stages.settings.world import World
from stages.world.album import portraits

CALIBRATION_IMAGES = 4
PART = 512  # images rendered or embedded between two steps of the progress bar


@dataclass(frozen=True)
class Faces:
    """Embedded images of one kind: unit rows x (b, d) and whom they show (b,)."""

    x: np.ndarray
    identity: np.ndarray


Numbered = tuple[Faces, np.ndarray]  # with each image's index within its identity (b,)


def centres(faces: Faces, m: int) -> np.ndarray:
    """Return the unit mean row of each of m identities (m, d)."""
    total = np.zeros((m, faces.x.shape[1]))
    np.add.at(total, faces.identity, faces.x)
    return sphere.unit_rows(total)


def embedded(recogniser: Recogniser, shards: Shards) -> np.ndarray:
    """Return the recogniser's rows (images, d), not normalised, of all images of the shards."""
    return _in_parts(len(shards), "embed", lambda part: recogniser.embed(shards.faces(np.arange(len(shards))[part])))


def control(recogniser: Recogniser, name: str) -> Numbered:
    """Return what was drawn without perturbation of packed, gallery or gaussian rows, by the recogniser."""
    shards = Shards("data/generate", f"control-{name}-*.arrow")
    return Faces(sphere.unit_rows(embedded(recogniser, shards)), shards.column("identity")), shards.column("index")


def unrelated(networks: Sequence[Recogniser], cfg: Audit, world: World) -> list[Numbered]:
    """Return unseen people as they are sampled, CALIBRATION_IMAGES images each, by each of the networks."""
    people = cfg.calibration_identities
    album = portraits("calibration", cfg.seed, people, CALIBRATION_IMAGES, "studio", world.studio_spread)

    def rows_of(part: slice) -> np.ndarray:
        faces = album.faces(part, world.size_px)
        return np.stack([network.embed(faces) for network in networks], 1)

    raw = _in_parts(len(album.z), "calibrate", rows_of)  # (images, networks, d)
    index = np.arange(len(raw)) % CALIBRATION_IMAGES
    return [(Faces(sphere.unit_rows(x), album.rows.identity), index) for x in raw.swapaxes(0, 1)]


def _in_parts(count: int, label: str, rows_of: Callable[[slice], np.ndarray]) -> np.ndarray:
    starts = tqdm(range(0, count, PART), label, mininterval=1, ncols=80, file=sys.stdout, disable=count < 2 * PART)
    return np.concatenate([rows_of(slice(start, start + PART)) for start in starts])
