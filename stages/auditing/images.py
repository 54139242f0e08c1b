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


def _joined(folder: Path, prefix: str, known: pa.Table) -> pa.Table:
    shards = f"{prefix}-?????.arrow"  # mixup-?????.arrow is not mixup-100-?????.arrow
    stored = catalogue.of(Shards(folder, shards))
    catalogue.check_once(stored, f"{folder}/{shards}")
    catalogue.check_once(known, f"{folder}/images.feather: {prefix}")
    key, known_key = catalogue.keys(stored), catalogue.keys(known)
    order, known_order = np.argsort(key), np.argsort(known_key)
    if not np.array_equal(key[order], known_key[known_order]):
        missing = int(np.setxor1d(key, known_key)[0])
        lacking, (identity, index) = "images.feather" if missing in key else shards, catalogue.of_key(missing)
        raise ValueError(
            f"{folder}/{lacking}: image {index} of identity {identity} ({prefix}) is missing; run `dvc repro generate`"
        )
    columns = {name: stored[name].take(order) for name in stored.column_names}
    columns |= {name: _with_gaps(known[name].to_numpy()[known_order], name) for name in ("width", "cosine")}
    columns["kind"] = tables.worded(np.zeros(len(order), np.int8), [prefix.partition("-")[0]])
    columns["embedding"] = _with_gaps(order if prefix == "plain" else np.full(len(order), np.nan), "embedding")
    return tables.of(tables.IMAGES.remove(LAST), columns)


def _with_gaps(values: np.ndarray, name: str) -> pa.Array:
    """Return a column where NaN stands for no value."""
    return pa.array(values, tables.IMAGES.field(name).type, from_pandas=True)


def kept(images: pa.Table, keep: np.ndarray) -> pa.Table:
    """Return the table with its last column: `keep` (plain images,) says it of those that have an embedding.

    Mixed images are all kept: they have no centre of their own to be near to.
    """
    column = pc.fill_null(pc.take(pa.array(keep), images["embedding"]), True)
    return images.append_column(tables.IMAGES.field(LAST), column)
