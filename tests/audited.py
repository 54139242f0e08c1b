"""What generate and audit say of image shards that a test has put into data/generate, by their own writers."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from stages import audit, generate
from stages.auditing import images
from stages.common import artifacts, catalogue, tables
from stages.common.images import Shards

GENERATED = Path("data/generate")


def listed(prefix: str, width: int | None = None) -> pa.Table:
    """Return the rows of images.feather for the shards of a prefix; a plain image's cosine tells its key."""
    shards = Shards(GENERATED, f"{prefix}-?????.arrow")
    identity, index = (shards.column(name) for name in ("identity", "index"))
    words = tables.worded(np.zeros(len(shards), np.int8), [prefix])
    return generate.listed(words, identity, index, width, None if width else told(identity, index))


def told(identity: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Return the cosine that `listed` writes for an image."""
    return (1 / (1 + identity + index / 100)).astype(np.float32)


def write(widths: Mapping[str, int | None], keep: np.ndarray | None = None, **raw: np.ndarray) -> None:
    """Write images.feather for shards of each prefix, with the width that it is mixed among, and then data/audit."""
    listings = [listed(prefix, width) for prefix, width in widths.items()]
    tables.write(GENERATED / "images.feather", pa.concat_tables(listings))
    judge(keep, **raw)


def judge(keep: np.ndarray | None = None, **raw: np.ndarray) -> None:
    """Write data/audit, where `keep` says which plain images are kept, and embeddings into data/judged."""
    table = images.drawn(GENERATED)
    plain = len(table) - table["embedding"].null_count
    names = sorted(table["shard"].unique().to_pylist())
    for name, x in raw.items():
        artifacts.write_array(audit.JUDGED / f"{name}.npy", x)
    with artifacts.output_folder(audit.AUDITED) as folder:
        audit.write(
            folder,
            images.kept(table, np.ones(plain, bool) if keep is None else keep),
            {name: artifacts.digest(GENERATED / name) for name in names},
        )


def revise(change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    """Write data/audit/images.arrow anew, as `change` has it."""
    rows = change(catalogue.audited().to_pandas())
    tables.write(catalogue.AUDITED, tables.of(tables.IMAGES, rows.to_dict("series")))
