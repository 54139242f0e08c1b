"""The table of images from which a training set is chosen: where each is, and whom it shows."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from stages.common import tables
from stages.common.errors import InputError
from stages.common.images import Shards

AUDITED = Path("data/audit/images.arrow")
KEY = ["identity", "index"]  # names one image among the plain ones, or among those mixed for one width


def of(shards: Shards) -> pd.DataFrame:
    """Return the shard, row, identity, index, partner and ratio of each image, in the order of `shards`."""
    sizes = shards.sizes()
    shard = np.repeat(np.arange(len(sizes)), sizes)
    return pd.DataFrame(
        {
            "shard": pd.Categorical.from_codes(shard, [file.name for file in shards.files]),
            "row": np.concatenate([np.arange(size, dtype=np.int32) for size in sizes]),
            **{name: shards.column(name) for name in ("identity", "index", "partner", "ratio")},
        }
    )


def audited() -> pa.Table:
    """Return the audit's table of the images that may be chosen; raises ValueError when it is missing or broken."""
    return tables.read(AUDITED, tables.IMAGES, nullable=("width", "cosine", "embedding"))


def check_once(images: pd.DataFrame, source: str) -> None:
    """Raise ValueError naming `source` and the image when an image is listed twice."""
    repeated = images.loc[images.duplicated(KEY), KEY]
    if len(repeated):
        identity, index = repeated.iloc[0]
        raise InputError(source, "listed twice", key=f"image {index} of identity {identity}", allowed="once")
