"""The sheet of faces: a few rows of one person each, drawn from a variant's manifest."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stages.common import images, tables
from stages.common.images import Shards
from stages.common.streams import stream
from stages.training import transform

FACE_PX = 96
POSE_PX = 195  # a sheet of poses has half as many columns and shall be as wide
GAP_PX = 3


def manifest(file: Path) -> pa.Table:
    """Return a variant's table of samples; raises ValueError when it is missing, broken or lacks a column."""
    return tables.read(file, tables.MANIFEST)


def choose(label: np.ndarray, joins: np.ndarray, people: int, depth: int) -> list[np.ndarray]:
    """Return the samples of each row of the sheet: the first `depth` of each of `people` persons, evenly spaced.

    label (b,): whom each sample shows; joins (b,): whether it joins by domain mixup. The last row then shows such a
    person.
    """
    main, mixed = np.unique(label[~joins]), np.unique(label[joins])
    chosen = [(person, False) for person in _spaced(main, people - min(len(mixed), 1) if people > 1 else people)]
    if len(mixed) and people > 1:
        chosen.append((mixed[0], True))
    return [np.flatnonzero((label == person) & (joins == part))[:depth] for person, part in chosen]


def _spaced(people: np.ndarray, count: int) -> np.ndarray:
    return people[np.unique(np.linspace(0, len(people) - 1, min(count, len(people))).astype(int))]


def rows(table: pa.Table, data: Path, people: int, depth: int, augment: bool) -> np.ndarray:
    """Return the sheet (h, w, 3) uint8 RGB, a row of faces per person; `augment` shows them as training sees them."""
    label = table["label_a"].to_numpy()
    joins = pc.call_function("equal", [table["domain"], pa.scalar("mix")]).to_numpy()
    strips = []
    for i, samples in enumerate(choose(label, joins, people, depth)):
        faces = _faces(table.take(pa.array(samples)), data)
        strips.append(_row(transform.augmented(faces, stream("face sheet", i)) if augment else faces, depth))
    return np.concatenate(strips)[:-GAP_PX]


def grid(shards: Shards, columns: int, px: int) -> np.ndarray:
    """Return a sheet (h, w, 3): a row per identity, a column per index, white where there is no image."""
    identity, index, faces = shards.column("identity"), shards.column("index"), images.resize(shards.faces(), px)
    strips = []
    for person in np.unique(identity):
        row = np.full((columns, px, px, 3), 255, np.uint8)
        row[index[identity == person]] = faces[identity == person]
        strips.append(_row(row, columns))
    return np.concatenate(strips)[:-GAP_PX]


def _faces(samples: pa.Table, data: Path) -> np.ndarray:
    faces = [Shards(data / s["set"], s["shard"]).faces([s["row"]])[0] for s in samples.to_pylist()]
    return images.resize(np.stack(faces), FACE_PX)


def _row(faces: np.ndarray, depth: int) -> np.ndarray:
    px = faces.shape[1]
    strip = np.full((px + GAP_PX, depth * (px + GAP_PX) - GAP_PX, 3), 255, np.uint8)
    for i, face in enumerate(faces):
        left = i * (px + GAP_PX)
        strip[:px, left : left + px] = face
    return strip
