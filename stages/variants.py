"""Choose the rows of one training set; no image is copied.

reads   params variants.NAME; data/audit/ and data/generate, or data/sets/SET, as `source` and `mix` say
writes  data/variants/NAME/manifest.arrow   one row per training sample: set, shard, row, label_a, label_b, weight,
        domain; schema metadata `variant`: number of classes, augmentation, the sha256 of every shard named and, where
        people were skipped, their number
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from stages.common import artifacts, params, stage, tables
from stages.common.images import Shards
from stages.settings.variants import Variants


@dataclass(frozen=True)
class Rows:
    """Images that may be chosen: where they are and whom they show, all (images,)."""

    set: str
    shard: np.ndarray
    row: np.ndarray
    identity: np.ndarray
    partner: np.ndarray
    ratio: np.ndarray


def rows_of(source: str, mixed_among: int = 0) -> Rows:
    """Return the images of `sets/NAME` or of `audit`: the generator's that the audit kept.

    Plain ones, or those mixed among the first `mixed_among` identities.
    """
    if source != "audit":
        return _table_rows(source, Shards(f"data/{source}"))
    shards = Shards("data/generate", "mixup-*.arrow" if mixed_among else "plain-*.arrow")
    rows = _table_rows("generate", shards)
    kept = artifacts.read_array(f"data/audit/kept_{'mixup' if mixed_among else 'plain'}.npy")
    if len(kept) != len(shards):
        raise ValueError(
            f"data/audit: speaks of {len(kept)} images, data/generate holds {len(shards)}; run `dvc repro audit`"
        )
    return _subset(rows, kept & _drawn_for(mixed_among, rows.shard) if mixed_among else kept)


def _drawn_for(width: int, shard: np.ndarray) -> np.ndarray:
    """Return which images lie in the shards of a width: mixup-WIDTH-*, or mixup-* where it is the first."""
    named = np.char.startswith(shard, f"mixup-{width}-")
    return named if named.any() else np.char.count(shard, "-") == 1


def _table_rows(name: str, shards: Shards) -> Rows:
    sizes = shards.sizes()
    shard = np.repeat([file.name for file in shards.files], sizes)
    row = np.concatenate([np.arange(size) for size in sizes])
    columns = (shards.column(column) for column in ("identity", "partner", "ratio"))
    return Rows(name, shard, row, *columns)


def _subset(rows: Rows, mask: np.ndarray) -> Rows:
    parts = (rows.shard, rows.row, rows.identity, rows.partner, rows.ratio)
    return Rows(rows.set, *(part[mask] for part in parts))


def choose(rows: Rows, width: int, depth: int, key: str) -> Rows:
    """Return the first `depth` images of each of the first `width` identities; raises ValueError when they lack."""
    order = np.argsort(rows.identity, kind="stable")
    identity = rows.identity[order]
    rank = np.arange(len(identity)) - np.searchsorted(identity, identity)  # number of the image within its identity
    mask = np.zeros(len(identity), bool)
    mask[order] = (identity < width) & (rank < depth)
    chosen = _subset(rows, mask)
    count = np.bincount(chosen.identity, minlength=width)
    if count.min() < depth:
        short = int(count.argmin())
        raise ValueError(
            f"{key}: identity {short} has {count[short]} images left; allowed: at least depth = {depth}, or fewer: skip"
        )
    return chosen


def skip(rows: Rows, width: int, depth: int, key: str) -> tuple[Rows, int]:
    """Return the images of identities that have `depth`, numbered anew, and how many the first `width` passed over.

    Raises ValueError when there are not so many.
    """
    enough = np.bincount(rows.identity) >= depth
    if enough.sum() < width:
        raise ValueError(f"{key}: {enough.sum()} identities have {depth} images; allowed: at least width = {width}")
    kept, number = _subset(rows, enough[rows.identity]), np.cumsum(enough) - 1
    skipped = int(np.flatnonzero(enough)[width - 1]) + 1 - width
    return replace(kept, identity=number[kept.identity], partner=number[kept.partner]), skipped


def manifest(cfg: Variants, name: str) -> pa.Table:
    """Return the manifest of a variant; classes of `mix` follow those of `source`."""
    source = rows_of(cfg.source, cfg.width if cfg.identity_mixup else 0)
    main, skipped = _taken(source, cfg.width, cfg.depth, cfg, f"variants.{name}")
    parts, classes = [_columns(main, 0, "main")], cfg.width
    if cfg.mix_width:
        source = rows_of(cfg.mix)
        mix, more = _taken(source, cfg.mix_width, cfg.mix_depth, cfg, f"variants.{name}.mix")
        parts.append(_columns(mix, classes, "mix"))
        classes, skipped = classes + cfg.mix_width, skipped + more
    about = {"classes": classes, "augment": cfg.augment, "digests": _digests(parts)}
    about |= {"skipped": skipped} if cfg.fewer == "skip" else {}
    return pa.concat_tables(parts).replace_schema_metadata({"variant": json.dumps(about, sort_keys=True)})


def _taken(rows: Rows, width: int, depth: int, cfg: Variants, key: str) -> tuple[Rows, int]:
    if cfg.fewer == "refuse":
        return choose(rows, width, depth, key), 0
    rows, skipped = skip(rows, width, depth, key)
    return choose(rows, width, depth, key), skipped


def _columns(rows: Rows, first_label: int, domain: str) -> pa.Table:
    columns = {
        "set": [rows.set] * len(rows.row),
        "shard": rows.shard,
        "row": rows.row,
        "label_a": rows.identity + first_label,
        "label_b": rows.partner + first_label,
        "weight": rows.ratio,
        "domain": [domain] * len(rows.row),
    }
    return tables.of(tables.MANIFEST, columns)


def _digests(parts: list[pa.Table]) -> dict[str, str]:
    pairs = {
        f"{s}/{f}" for part in parts for s, f in zip(part["set"].to_pylist(), part["shard"].to_pylist(), strict=True)
    }
    return {file: artifacts.digest(Path("data") / file) for file in sorted(pairs)}


def main() -> str:
    """Run the stage for the variant named on the command line."""
    name = stage.name("NAME, a key of `variants`")
    cfg = params.load(f"variants.{name}", Variants)
    table = manifest(cfg, name)
    with artifacts.output_folder(f"data/variants/{name}") as folder:
        tables.write(folder / "manifest.arrow", table)
    skipped = json.loads(table.schema.metadata[b"variant"]).get("skipped", 0)
    said = f"{len(table)} images of {cfg.width} + {cfg.mix_width} identities{f', {skipped} skipped' if skipped else ''}"
    return f"variants {name}: {said} -> data/variants/{name}"


if __name__ == "__main__":
    stage.run(main)
