"""Choose the rows of one training set; no image is copied.

reads   params variants.NAME; data/audit/: images.arrow and shards.json, or data/sets/SET, as `source` and `mix` say
writes  data/variants/NAME/manifest.arrow   one row per training sample: set, shard, row, label_a, label_b, weight,
        domain; schema metadata `variant`: number of classes, augmentation, the sha256 of every shard named and, where
        people were skipped, their number
"""

import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from stages.common import artifacts, catalogue, params, stage, tables
from stages.common.images import Shards
from stages.common.variants import Variants

GENERATED = "generate"


def rows_of(source: str, mixed_among: int = 0) -> pd.DataFrame:
    """Return where the images of `sets/NAME`, or those of `audit` that it kept, are, and whom they show.

    Columns set, shard, row, identity, partner and ratio. Of `audit` plain images, or those mixed among the first
    `mixed_among` identities, by identity and index; of a set in the order of its shards.
    """
    if source != "audit":
        return catalogue.of(Shards(f"data/{source}")).assign(set=source)
    wanted = pc.field("width") == mixed_among if mixed_among else pc.field("kind") == "plain"
    images = catalogue.audited().filter(wanted).to_pandas()
    catalogue.check_once(images, str(catalogue.AUDITED))
    return images[images["kept"]].sort_values(catalogue.KEY).assign(set=GENERATED)


def choose(rows: pd.DataFrame, width: int, depth: int, key: str) -> pd.DataFrame:
    """Return the first `depth` images of each of the first `width` identities; raises ValueError when they lack."""
    number = rows.groupby("identity").cumcount()  # of the image within its identity
    chosen = rows.loc[(rows["identity"] < width) & (number < depth)]
    count = chosen.groupby("identity").size().reindex(range(width), fill_value=0)
    if count.min() < depth:
        short = count.idxmin()
        raise ValueError(
            f"{key}: identity {short} has {count[short]} images left; allowed: at least depth = {depth}, or fewer: skip"
        )
    return chosen


def skip(rows: pd.DataFrame, width: int, depth: int, key: str) -> tuple[pd.DataFrame, int]:
    """Return the images of identities that have `depth`, numbered anew, and how many the first `width` passed over.

    Raises ValueError when there are not so many.
    """
    count = rows.groupby("identity").size()
    enough = count.loc[count >= depth].index
    if len(enough) < width:
        raise ValueError(f"{key}: {len(enough)} identities have {depth} images; allowed: at least width = {width}")
    left = rows.loc[rows["identity"].isin(enough)]
    number = {name: enough.get_indexer(left[name]) for name in ("identity", "partner")}
    return left.assign(**number), int(enough[width - 1]) + 1 - width


def manifest(cfg: Variants, name: str) -> pa.Table:
    """Return the manifest of a variant; classes of `mix` follow those of `source`."""
    source = rows_of(cfg.source, cfg.width if cfg.mixup else 0)
    main, skipped = _taken(source, cfg.width, cfg.depth, cfg, f"variants.{name}")
    parts, classes, digests = [_samples(main, 0, "main")], cfg.width, _digests(main)
    if cfg.mixed:
        source = rows_of(cfg.mix)
        mix, more = _taken(source, cfg.mixed, cfg.depth_of_mix, cfg, f"variants.{name}.mix")
        parts.append(_samples(mix, classes, "mix"))
        classes, digests, skipped = classes + cfg.mixed, digests | _digests(mix), skipped + more
    about = {"classes": classes, "augment": cfg.augment, "digests": digests}
    about |= {"skipped": skipped} if cfg.fewer == "skip" else {}
    return pa.concat_tables(parts).replace_schema_metadata({"variant": json.dumps(about, sort_keys=True)})


def _taken(rows: pd.DataFrame, width: int, depth: int, cfg: Variants, key: str) -> tuple[pd.DataFrame, int]:
    if cfg.fewer == "refuse":
        return choose(rows, width, depth, key), 0
    rows, skipped = skip(rows, width, depth, key)
    return choose(rows, width, depth, key), skipped


def _samples(rows: pd.DataFrame, first_label: int, domain: str) -> pa.Table:
    place = {name: rows[name] for name in ("set", "shard", "row")}
    labels = {"label_a": rows["identity"] + first_label, "label_b": rows["partner"] + first_label}
    return tables.of(tables.MANIFEST, {**place, **labels, "weight": rows["ratio"], "domain": [domain] * len(rows)})


def _digests(rows: pd.DataFrame) -> dict[str, str]:
    """Return the sha256 of every shard named; of generated ones that of the images which the audit saw."""
    folder, names = rows["set"].iloc[0], rows["shard"].unique()
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
