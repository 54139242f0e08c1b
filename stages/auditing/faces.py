"""Embedded images of people: the generator's, and unrelated ones to compare with."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stages.common import embeddings
from stages.common.embeddings import Pictures
from stages.common.errors import InputError
from stages.common.images import Shards
from stages.common.networks import Recogniser
from stages.common.params import below_data
from stages.common.world import World
from stages.metrics.faces import Faces
from stages.settings.audit import Audit
from stages.world.album import portraits

CALIBRATION_IMAGES = 4
Networks = Mapping[str, Recogniser]


Numbered = tuple[Faces, np.ndarray]  # with each image's index within its identity (b,)


@dataclass(frozen=True)
class People:
    """Images of people, not embedded yet: whom they show and their index (b,)."""

    identity: np.ndarray
    index: np.ndarray
    pictures: Pictures


def embedded(networks: Networks, people: People, folder: Path, label: str) -> dict[str, Numbered]:
    """Return the images by each of the networks, all ranks together; their rows are memory-mapped files of `folder`."""
    files = embeddings.embed(networks, people.pictures, folder, label)
    rows = {name: embeddings.whole(own, folder / f".{label}-{name}.npy") for name, own in files.items()}
    return {name: (Faces(x, people.identity), people.index) for name, x in rows.items()}


def of_shards(shards: Shards) -> People:
    """Return the images of shards."""
    return People(shards.column("identity"), shards.column("index"), embeddings.stored(shards))


def unrelated_people(cfg: Audit, world: World) -> People:
    """Return `calibration_identities` people who are not in the gallery, at most CALIBRATION_IMAGES images each.

    Raises InputError when the user's set has fewer people with two images.
    """
    count = cfg.calibration_identities
    if cfg.unrelated.backend == "embedded":
        album = portraits("calibration", cfg.seed, count, CALIBRATION_IMAGES, "studio", world.spread.studio)
        rows = album.rows
        drawn = Pictures(lambda part: album.faces(part, world.size_px), _slices(len(rows.seed)), rows.frame_px)
        return People(rows.identity, rows.index, drawn)
    shards = Shards(below_data(cfg.unrelated.path))
    who = shards.column("identity")
    size, by_person = np.bincount(who), np.argsort(who, kind="stable")
    first, several = np.cumsum(size) - size, np.flatnonzero(size > 1)
    if len(several) < count:
        allowed = f"at most {len(several)}, the people of {cfg.unrelated.path} who have two images or more"
        raise InputError("params.yaml", key="audit.calibration_identities", value=count, allowed=allowed)
    depth = np.minimum(size[several[:count]], CALIBRATION_IMAGES)
    identity, index = np.repeat(np.arange(count), depth), np.concatenate([np.arange(k) for k in depth])
    rows = by_person[first[several[:count]][identity] + index]
    pictures = Pictures(lambda part: shards.faces(rows[part]), _slices(len(rows)), shards.frame_px)
    return People(identity, index, pictures)


def _slices(count: int) -> list[slice]:
    return [slice(start, min(start + embeddings.PART, count)) for start in range(0, count, embeddings.PART)]
