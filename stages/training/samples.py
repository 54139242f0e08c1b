"""Read what a variant's manifest lists: labels and, decoded once into memory, faces."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from stages.common import artifacts, digests, images, tables
from stages.common.errors import InputError
from stages.common.frames import Frame

DOMAINS = ("main", "mix")


@dataclass(frozen=True)
class Samples:
    """Training samples: faces (n, s, s, c) uint8, RGB or grey; label_a, label_b, weight (of a), mix, each (n,).

    frame_px: what all of them show of ArcFace's template of 112 px.
    """

    faces: np.ndarray
    label_a: np.ndarray
    label_b: np.ndarray
    weight: np.ndarray
    mix: np.ndarray
    classes: int
    augment: bool
    frame_px: int = images.FRAME_PX

    @property
    def main_count(self) -> int:
        """Return how many samples are not of the mix domain: those of one pass."""
        return int(np.count_nonzero(~self.mix))


def read(manifest: Path, data: Path, size_px: int, colour: str) -> Samples:
    """Return the samples of a manifest whose shards are DATA/<set>/<shard>, at size_px, in `colour`: rgb or grey.

    Raises InputError when the manifest or a shard is missing or truncated, or when the two do not fit: a digest that
    differs, a row or label out of range.
    """
    table, variant = _manifest(manifest)
    faces = np.empty((table.num_rows, size_px, size_px, images.CHANNELS[colour]), np.uint8)
    samples_of: dict[str, list[int]] = {}  # by shard
    for i, names in enumerate(zip(table["set"].to_pylist(), table["shard"].to_pylist(), strict=True)):
        samples_of.setdefault("/".join(names), []).append(i)
    rows = table["row"].to_numpy()
    mix = np.array(table["domain"].to_pylist()) == "mix"
    first = "/".join(
        table[name][int(mix.argmin())].as_py() for name in ("set", "shard")
    )  # images of other sets are mixed into these
    frame_px = _shard(manifest, data / first, variant["digests"].get(first)).frame_px
    frame = Frame(size_px, size_px, frame_px)
    for name, indices in sorted(samples_of.items()):
        shard = _shard(manifest, data / name, variant["digests"].get(name))
        _check_range(manifest, "row", rows[indices], len(shard))
        for i in indices:
            face = images.decode(shard.table["image"][int(rows[i])].as_py(), f"{data / name}: row {rows[i]}")
            face = frame.of(face[None], shard.frame_px)
            faces[i] = (images.grey(face) if colour == "grey" else face)[0]
    column = {name: table[name].to_numpy() for name in ("label_a", "label_b", "weight")}
    for name in ("label_a", "label_b"):
        _check_range(manifest, name, column[name], variant["classes"])
    return Samples(faces, **column, mix=mix, classes=variant["classes"], augment=variant["augment"], frame_px=frame_px)


def _manifest(file: Path) -> tuple[pa.Table, dict[str, Any]]:
    table = tables.read(file, tables.MANIFEST)
    try:
        variant = json.loads((table.schema.metadata or {})[b"variant"])
        digests, classes, augment = (variant[key] for key in ("digests", "classes", "augment"))
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise InputError(file, f"not readable ({artifacts.brief(error)})", key="schema metadata `variant`") from error
    if not (isinstance(digests, dict) and type(classes) is int and type(augment) is bool):
        allowed = "digests, a number of classes, augment or not"
        raise InputError(file, key="schema metadata `variant`", allowed=allowed)
    weight, domains = table["weight"].to_numpy(), set(table["domain"].to_pylist())
    outside = ~((weight >= 0) & (weight <= 1))
    if outside.any():
        raise InputError(file, key="weight", value=float(weight[outside.argmax()]), allowed="0 to 1")
    if "main" not in domains or not domains <= set(DOMAINS):
        raise InputError(file, key="domain", value=sorted(domains), allowed="main, and mix beside it")
    return table, variant


def _shard(manifest: Path, file: Path, expected: str | None) -> images.Shards:
    if not file.is_file():
        raise InputError(file, f"no such file, but {manifest} lists it; `dvc pull` or `dvc repro` brings it")
    if digests.shared(file) != expected:
        advice = (
            "`dvc repro` brings it back; if DVC takes it for unchanged, `python -m stages.tools.verify` before that"
        )
        raise InputError(file, f"sha256 differs from the one in {manifest}; {advice}")
    return images.Shards(file.parent, file.name)


def _check_range(file: Path, name: str, values: np.ndarray, limit: int) -> None:
    wrong = (values < 0) | (values >= limit)
    if wrong.any():
        raise InputError(file, key=name, value=int(values[wrong.argmax()]), allowed=f"0 to {limit - 1}")
