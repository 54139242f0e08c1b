"""Embedded images of people: the generator's, and unrelated ones to compare with."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from stages.common import stage
from stages.common.errors import InputError
from stages.common.images import Shards
from stages.common.networks import Recogniser
from stages.common.params import below_data
from stages.common.world import World
from stages.metrics.faces import Faces
from stages.settings.audit import Audit
from stages.world.album import portraits

CALIBRATION_IMAGES = 4
PART = 128  # images between two steps of the progress bar; a multiple of a recogniser's chunk


Numbered = tuple[Faces, np.ndarray]  # with each image's index within its identity (b,)


@dataclass(frozen=True)
class People:
    """Images of people, not embedded yet: whom they show and their index (b,), and the faces of a slice of them.

    frame_px: what the faces show of ArcFace's template of 112 px.
    """

    identity: np.ndarray
    index: np.ndarray
    faces: Callable[[slice], np.ndarray]
    frame_px: int


def embedded(recogniser: Recogniser, shards: Shards) -> np.ndarray:
    """Return the recogniser's rows (images, d), not normalised, of all images of the shards."""
    rows, frame_px = np.arange(len(shards)), shards.frame_px
    return _in_parts(len(rows), "embed", lambda part: recogniser.embed(shards.faces(rows[part]), frame_px))


def control(recogniser: Recogniser, name: str) -> Numbered:
    """Return what was drawn without perturbation of packed, gallery or gaussian rows, by the recogniser."""
    shards = Shards("data/generate", f"control-{name}-*.arrow")
    return Faces(embedded(recogniser, shards), shards.column("identity")), shards.column("index")


def unrelated_people(cfg: Audit, world: World) -> People:
    """Return `calibration_identities` people who are not in the gallery, at most CALIBRATION_IMAGES images each.

    Raises InputError when the user's set has fewer people with two images.
    """
    count = cfg.calibration_identities
    if cfg.unrelated.backend == "embedded":
        album = portraits("calibration", cfg.seed, count, CALIBRATION_IMAGES, "studio", world.spread.studio)
        rows = album.rows
        return People(rows.identity, rows.index, lambda part: album.faces(part, world.size_px), rows.frame_px)
    shards = Shards(below_data(cfg.unrelated.path))
    who = shards.column("identity")
    several = [np.flatnonzero(who == i)[:CALIBRATION_IMAGES] for i, n in enumerate(np.bincount(who)) if n > 1]
    if len(several) < count:
        allowed = f"at most {len(several)}, the people of {cfg.unrelated.path} who have two images or more"
        raise InputError("params.yaml", key="audit.calibration_identities", value=count, allowed=allowed)
    chosen = several[:count]
    rows, index = np.concatenate(chosen), np.concatenate([np.arange(len(person)) for person in chosen])
    identity = np.repeat(np.arange(count), list(map(len, chosen)))
    return People(identity, index, lambda part: shards.faces(rows[part]), shards.frame_px)


def unrelated(networks: Sequence[Recogniser], people: People) -> list[Numbered]:
    """Return the people's images by each of the networks, whose rows may differ in size."""

    def rows_of(part: slice) -> np.ndarray:
        faces = people.faces(part)
        return np.concatenate([network.embed(faces, people.frame_px) for network in networks], 1)

    raw = _in_parts(len(people.identity), "calibrate", rows_of)  # (images, d of one and of the other)
    ends = np.cumsum([network.embedding_size for network in networks])
    return [(Faces(x, people.identity), people.index) for x in np.split(raw, ends[:-1], 1)]


def _in_parts(count: int, label: str, rows_of: Callable[[slice], np.ndarray]) -> np.ndarray:
    parts = [slice(start, start + PART) for start in range(0, count, PART)]
    with stage.threads() as threads:
        rows = threads.map(rows_of, parts)
        progress = tqdm(rows, label, len(parts), mininterval=1, ncols=80, file=sys.stdout, disable=len(parts) < 3)
        return np.concatenate(list(progress))
