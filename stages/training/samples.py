"""Read what a variant's manifest lists: labels and faces, decoded into memory as far as they fit there."""

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from stages.common import artifacts, catalogue, images, memory, notes, tables
from stages.common.errors import InputError
from stages.common.frames import Frame
from stages.common.images import Shard
from stages.training.faces import Streamed

DOMAINS = ("main", "mix")
Unreadable = Literal["refuse", "skip"]


@dataclass(frozen=True)
class Samples:
    """Training samples: faces (n, s, s, c) uint8, RGB or grey; label_a, label_b, weight (of a), mix, each (n,).

    `faces[i]`, i (b,), are faces (b, s, s, c), whether they lie in memory or are decoded then. frame_px: what all of
    them show of ArcFace's template of 112 px. skipped: the samples whose images are not readable, which no batch shows.
    """

    faces: np.ndarray | Streamed
    label_a: np.ndarray
    label_b: np.ndarray
    weight: np.ndarray
    mix: np.ndarray
    classes: int
    augment: bool
    frame_px: int = images.FRAME_PX
    skipped: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))

    @property
    def main_count(self) -> int:
        """Return how many samples a pass shows: those of the main domain."""
        return int(np.delete(~self.mix, self.skipped).sum())


def read(
    manifest: Path,
    data: Path,
    size_px: int,
    colour: str,
    held_share: float = 0.5,
    unreadable: Unreadable = "refuse",
    kept: Path | None = None,
) -> Samples:
    """Return the samples of a manifest whose shards are DATA/<set>/<shard>, at size_px, in `colour`: rgb or grey.

    held_share: faces are decoded now and held if they take at most this share of the memory that the machine has for
    each of its ranks; otherwise whenever a batch needs them. Both give the same faces. kept: the folder of `ranks.kept`
    where one rank notes for all that a shard's digest is right, and which of its images are skipped: see `notes.each`.

    Raises InputError when the manifest or a shard is missing or truncated, or when the two do not fit: a digest that
    differs, a row or label out of range; and when an image is not readable, unless `unreadable` is skip. An image that
    is to be skipped is dropped before the training, so that each epoch shows every other image once, whatever the
    number of ranks, and no blank face enters the statistics of a normalisation or a head. This costs faces that
    are not held one more decoding; to refuse them, a look at their headers has to do, and the rest is seen when a batch
    needs it.
    """
    table, variant = _manifest(manifest)
    column = {name: table[name].to_numpy() for name in ("label_a", "label_b", "weight")}
    for name in ("label_a", "label_b"):
        _check_range(manifest, name, column[name], variant["classes"])
    names, shard = catalogue.shards_of(table)
    shards = _opened(manifest, {data / name: variant["digests"].get(name) for name in names}, kept)
    row = table["row"].to_numpy()
    _check_range(manifest, "row", row, np.array([len(shard) for shard in shards])[shard])
    mix = _is_mix(table)
    frame_px = shards[shard[mix.argmin()]].frame_px  # images of other sets are mixed into these
    streamed = Streamed(shards, shard, row, Frame(size_px, size_px, frame_px), colour)
    held = math.prod(streamed.shape) <= held_share * memory.per_rank()
    faces, skipped = _decoded(streamed, unreadable) if held else (streamed, _unreadable(streamed, unreadable, kept))
    if len(np.unique(np.delete(mix, skipped))) < len(np.unique(mix)):
        raise InputError(manifest, "none of its images in one of the domains is readable")
    return Samples(
        faces, **column, mix=mix, classes=variant["classes"], augment=variant["augment"], frame_px=frame_px,
        skipped=skipped,
    )  # fmt: skip


def _decoded(streamed: Streamed, unreadable: Unreadable) -> tuple[np.ndarray, np.ndarray]:
    """Return the faces, and which samples are skipped as unreadable."""
    faces, skipped = np.zeros(streamed.shape, np.uint8), []
    for shard, members in zip(streamed.shards, streamed.by_shard(), strict=True):
        for i in members.tolist():
            try:
                faces[i] = streamed.face(i)
            except InputError:
                if unreadable == "refuse":
                    raise
                skipped.append(i)
        shard.release()
    return faces, np.sort(np.array(skipped, np.int64))


def _unreadable(streamed: Streamed, unreadable: Unreadable, kept: Path | None) -> np.ndarray:
    """Return which samples are skipped as unreadable: by their header where they are refused, else by decoding them."""
    look, by_shard = streamed.check_header if unreadable == "refuse" else streamed.face, streamed.by_shard()

    def skipped(number: int) -> str:
        samples = []
        for i in by_shard[number].tolist():
            try:
                look(i)
            except InputError:
                if unreadable == "refuse":
                    raise
                samples.append(str(i))
        streamed.shards[number].release()
        return " ".join(samples)

    lines = notes.each(range(len(streamed.shards)), skipped, kept, "unreadable")
    return np.sort(np.array(" ".join(lines).split(), np.int64))


def _manifest(file: Path) -> tuple[pa.Table, dict[str, Any]]:
    table = tables.read(file, tables.MANIFEST)
    if not len(table):
        raise InputError(file, "no samples", allowed="at least one image of the domain main")
    try:
        variant = json.loads((table.schema.metadata or {})[b"variant"])
        digests, classes, augment = (variant[key] for key in ("digests", "classes", "augment"))
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise InputError(file, f"not readable ({artifacts.brief(error)})", key="schema metadata `variant`") from error
    if not (isinstance(digests, dict) and type(classes) is int and type(augment) is bool):
        allowed = "digests, a number of classes, augment or not"
        raise InputError(file, key="schema metadata `variant`", allowed=allowed)
    weight, domains = table["weight"].to_numpy(), set(catalogue.coded(table["domain"])[1])
    outside = ~((weight >= 0) & (weight <= 1))
    if outside.any():
        raise InputError(file, key="weight", value=float(weight[outside.argmax()]), allowed="0 to 1")
    if "main" not in domains or not domains <= set(DOMAINS):
        raise InputError(file, key="domain", value=sorted(domains), allowed="main, and mix beside it")
    return table, variant


def _is_mix(table: pa.Table) -> np.ndarray:
    code, domains = catalogue.coded(table["domain"])
    return (np.array(domains) == "mix")[code]


def _opened(manifest: Path, expected: dict[Path, str | None], kept: Path | None) -> list[Shard]:
    """Return the shards, once their bytes are known to have the digests that the manifest expects of them."""

    def verified(file: Path) -> str:
        if not file.is_file():
            raise InputError(file, f"no such file, but {manifest} lists it; `dvc pull` or `dvc repro` brings it")
        if (digest := artifacts.digest(file)) != expected[file]:
            advice = (
                "`dvc repro` brings it back; if DVC takes it for unchanged, `python -m stages.tools.verify` before that"
            )
            raise InputError(file, f"sha256 differs from the one in {manifest}; {advice}")
        return digest

    notes.each(list(expected), verified, kept, "verified")
    return [Shard.open(file) for file in expected]


def _check_range(file: Path, name: str, values: np.ndarray, limit: int | np.ndarray) -> None:
    wrong = (values < 0) | (values >= limit)
    if wrong.any():
        first, limits = wrong.argmax(), np.broadcast_to(limit, values.shape)
        raise InputError(file, key=name, value=int(values[first]), allowed=f"0 to {limits[first] - 1}")
