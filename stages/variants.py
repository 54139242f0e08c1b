"""Choose the rows of one training set; no image is copied.

reads   params variants.NAME; data/audit/: images.arrow and shards.json, or data/sets/SET, as `source` and `mix` say
writes  data/variants/NAME/manifest.arrow   one row per training sample: set, shard, row, label_a, label_b, weight,
        domain; schema metadata `variant`: number of classes, augmentation, the sha256 of every shard named and, where
        people were skipped, their number
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from stages.common import artifacts, catalogue, params, stage, tables
from stages.common.errors import InputError
from stages.common.images import Shards
from stages.common.variants import Variants

GENERATED = "generate"


def folder_of(source: str) -> str:
    """Return the folder below data/ of the images of `sets/NAME`, or of `audit`."""
    return GENERATED if source == "audit" else source


def rows_of(source: str, mixed_among: int = 0) -> pa.Table:
    """Return where the images of `sets/NAME`, or those of `audit` that it kept, are, and whom they show.

    Columns shard, row, identity, partner and ratio. Of `audit` plain images, or those mixed among the first
    `mixed_among` identities, by identity and index; of a set in the order of its shards.
    """
    if source != "audit":
        return catalogue.of(Shards(f"data/{source}"))
    wanted = pc.field("width") == mixed_among if mixed_among else pc.field("kind") == "plain"
    images = catalogue.audited()
    number = pa.array(np.arange(len(images), dtype=np.int32))
    chosen = images.select([*catalogue.KEY, "kind", "width", "kept"]).append_column("number", number).filter(wanted)
    catalogue.check_once(chosen, str(catalogue.AUDITED))
    chosen = chosen.filter(pc.field("kept"))
    number = chosen["number"].take(np.argsort(catalogue.keys(chosen)))
    return images.select(["shard", "row", "identity", "partner", "ratio"]).take(number)


def choose(rows: pa.Table, width: int, depth: int, key: str) -> pa.Table:
    """Return the first `depth` images of each of the first `width` identities; raises InputError when they lack.

    key: of params.yaml, which asks for them.
    """
    identity = rows["identity"].to_numpy()
    chosen = (identity < width) & (catalogue.index_within(identity) < depth)
    count = np.bincount(identity[chosen], minlength=width)
    if count.min() < depth:
        short = int(count.argmin())
        problem = f"identity {short} has {count[short]} images left"
        raise InputError(params.FILE, problem, key=key, allowed=f"at least depth = {depth}, or fewer: skip")
    return rows.filter(chosen)


def skip(rows: pa.Table, width: int, depth: int, key: str) -> tuple[pa.Table, int]:
    """Return the images of identities that have `depth`, numbered anew, and how many the first `width` passed over.

    Raises InputError when there are not so many.
    """
    identity = rows["identity"].to_numpy()
    person, count = np.unique(identity, return_counts=True)
    enough = pd.Index(person[count >= depth])
    if len(enough) < width:
        problem = f"{len(enough)} identities have {depth} images"
        raise InputError(params.FILE, problem, key=key, allowed=f"at least width = {width}")
    left = rows.filter(np.isin(identity, enough))
    for name in ("identity", "partner"):
        number = pa.array(enough.get_indexer(left[name].to_numpy()), pa.int32())
        left = left.set_column(left.schema.get_field_index(name), name, number)
    return left, int(enough[width - 1]) + 1 - width


def manifest(cfg: Variants, name: str) -> pa.Table:
    """Return the manifest of a variant; classes of `mix` follow those of `source`."""
    source = rows_of(cfg.source, cfg.width if cfg.mixup else 0)
    main, skipped = _taken(source, cfg.width, cfg.depth, cfg, f"variants.{name}")
    folder, classes = folder_of(cfg.source), cfg.width
    parts, digests = [_samples(main, folder, 0, "main")], _digests(main, folder)
    if cfg.mixed:
        source = rows_of(cfg.mix)
        mix, more = _taken(source, cfg.mixed, cfg.depth_of_mix, cfg, f"variants.{name}.mix")
        parts.append(_samples(mix, cfg.mix, classes, "mix"))
        classes, digests, skipped = classes + cfg.mixed, digests | _digests(mix, cfg.mix), skipped + more
    about = {"classes": classes, "augment": cfg.augment, "digests": digests}
    about |= {"skipped": skipped} if cfg.fewer == "skip" else {}
    return pa.concat_tables(parts).replace_schema_metadata({"variant": json.dumps(about, sort_keys=True)})


def _taken(rows: pa.Table, width: int, depth: int, cfg: Variants, key: str) -> tuple[pa.Table, int]:
    if cfg.fewer == "refuse":
        return choose(rows, width, depth, key), 0
    rows, skipped = skip(rows, width, depth, key)
    return choose(rows, width, depth, key), skipped


def _samples(rows: pa.Table, folder: str, first_label: int, domain: str) -> pa.Table:
    one = np.zeros(len(rows), np.int8)
    words = {"set": tables.worded(one, [folder]), "domain": tables.worded(one, [domain])}
    labels = {f"label_{x}": rows[name].to_numpy() + first_label for x, name in (("a", "identity"), ("b", "partner"))}
    place = {name: rows[name] for name in ("shard", "row")}
    return tables.of(tables.MANIFEST, {**words, **place, **labels, "weight": rows["ratio"]})


def _digests(rows: pa.Table, folder: str) -> dict[str, str]:
    """Return the sha256 of every shard named; of generated ones that of the images which the audit saw."""
    names = rows["shard"].unique().to_pylist()
    if folder == GENERATED:
        audited = artifacts.read_mapping("data/audit/shards.json", *names)
        return {f"{folder}/{name}": audited[name] for name in names}
    return {f"{folder}/{name}": artifacts.digest(Path("data", folder, name)) for name in names}


def main() -> str:
    """Run the stage for the variant named on the command line."""
    name = stage.name("NAME, a key of `variants`")
    cfg = params.load(f"variants.{name}", Variants)
    table = manifest(cfg, name)
    with artifacts.output_folder(f"data/variants/{name}") as folder:
        tables.write(folder / "manifest.arrow", table)
    skipped = json.loads(table.schema.metadata[b"variant"]).get("skipped", 0)
    counts = f"{len(table)} images of {cfg.width} + {cfg.mixed} identities{f', {skipped} skipped' if skipped else ''}"
    return f"variants {name}: {counts} -> data/variants/{name}"


if __name__ == "__main__":
    stage.run(main)
