"""The table of the images that may be chosen: what their shards, the stage that drew them and the judge say of each."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stages.common import catalogue, tables
from stages.common.images import Shards

LAST = tables.IMAGES.get_field_index("kept")  # known when the judge has seen the images


def drawn(folder: Path) -> pa.Table:
    """Return a row for each plain and mixed image in `folder`, all of `tables.IMAGES` but whether it is kept.

    What lies in the shards and what images.feather says are joined by identity and index. Raises ValueError when one of
    the two lacks an image of the other, or has one twice.
    """
    rows = tables.read(folder / "images.feather", tables.DRAWN, nullable=("width", "cosine"))
    files = [file for kind in ("plain", "mixup") for file in folder.glob(f"{kind}-*.arrow")]
    prefixes = {*rows["prefix"].unique().to_pylist(), *(file.name.rpartition("-")[0] for file in files)}
    parts = [_joined(folder, prefix, rows.filter(pc.field("prefix") == prefix)) for prefix in sorted(prefixes)]
    return pa.concat_tables(parts)


def _joined(folder: Path, prefix: str, rows: pa.Table) -> pa.Table:
    shards = f"{prefix}-?????.arrow"  # mixup-?????.arrow is not mixup-100-?????.arrow
    stored, known = catalogue.of(Shards(folder, shards)), rows.drop_columns(["prefix"]).to_pandas()
    stored["embedding"] = np.arange(len(stored)) if prefix == "plain" else np.nan
    catalogue.check_once(stored, f"{folder}/{shards}")
    catalogue.check_once(known, f"{folder}/images.feather: {prefix}")
    both = stored.merge(known, "outer", catalogue.KEY, validate="one_to_one", indicator="where")
    alone = both[both["where"] != "both"]
    if len(alone):
        one = alone.iloc[0]
        lacking = "images.feather" if one["where"] == "left_only" else shards
        raise ValueError(
            f"{folder}/{lacking}: image {one['index']} of identity {one['identity']} ({prefix}) is missing; "
            "run `dvc repro generate`"
        )
    columns = {name: both[name] for name in both.columns} | {"kind": [prefix.partition("-")[0]] * len(both)}
    return tables.of(tables.IMAGES.remove(LAST), columns)


def kept(images: pa.Table, keep: np.ndarray) -> pa.Table:
    """Return the table with its last column: `keep` (plain images,) says it of those that have an embedding.

    Mixed images are all kept: they have no centre of their own to be near to.
    """
    column = pc.fill_null(pc.take(pa.array(keep), images["embedding"]), True)
    return images.append_column(tables.IMAGES.field(LAST), column)
