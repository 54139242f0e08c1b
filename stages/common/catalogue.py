"""The table of images from which a training set is chosen: where each is, and whom it shows."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from stages.common import tables
from stages.common.errors import InputError
from stages.common.images import Shards

AUDITED = Path("data/audit/images.arrow")
KEY = ["identity", "index"]  # names one image among the plain ones, or among those mixed for one width


def of(shards: Shards) -> pa.Table:
    """Return the shard, row, identity, index, partner and ratio of each image, in the order of `shards`."""
    sizes = np.array(shards.sizes())
    number = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
    row = np.arange(len(number), dtype=np.int32) - np.repeat((np.cumsum(sizes) - sizes).astype(np.int32), sizes)
    columns = {name: shards.column(name) for name in ("identity", "index", "partner", "ratio")}
    return pa.table({"shard": tables.worded(number, [file.name for file in shards.files]), "row": row, **columns})


def coded(column: pa.ChunkedArray) -> tuple[np.ndarray, list[str]]:
    """Return the number of each value among the distinct ones (n,), and these: no object for each value is made."""
    chunks = column.dictionary_encode().unify_dictionaries().chunks
    return np.concatenate([chunk.indices.to_numpy() for chunk in chunks]), chunks[0].dictionary.to_pylist()


def shards_of(manifest: pa.Table) -> tuple[list[str], np.ndarray]:
    """Return the shards of a manifest, as SET/SHARD, and which of them holds each sample (n,)."""
    (set_code, sets), (shard_code, shards) = (coded(manifest[name]) for name in ("set", "shard"))
    pairs, number = np.unique(set_code * np.int64(len(shards)) + shard_code, return_inverse=True)
    names = [f"{sets[pair // len(shards)]}/{shards[pair % len(shards)]}" for pair in pairs.tolist()]
    return names, number.astype(np.int32)


def audited() -> pa.Table:
    """Return the audit's table of the images that may be chosen; raises ValueError when it is missing or broken."""
    return tables.read(AUDITED, tables.IMAGES, nullable=("width", "cosine", "embedding"))


def keys(images: pa.Table) -> np.ndarray:
    """Return a number (n,) int64 for the identity and index of each image, in whose order the images are sorted."""
    identity, index = (images[name].to_numpy() for name in KEY)
    return identity.astype(np.int64) << 32 | index.astype(np.uint32)


def of_key(key: int) -> tuple[int, int]:
    """Return the identity and the index that a number of `keys` stands for."""
    return key >> 32, key & 0xFFFFFFFF


def check_once(images: pa.Table, source: str) -> None:
    """Raise ValueError naming `source` and the image when an image is listed twice."""
    key = np.sort(keys(images))
    repeated = key[1:][key[1:] == key[:-1]]
    if len(repeated):
        identity, index = of_key(int(repeated[0]))
        raise InputError(source, "listed twice", key=f"image {index} of identity {identity}", allowed="once")


def index_within(identity: np.ndarray) -> np.ndarray:
    """Return the number of each image within its person (n,), in the order of the rows."""
    order = np.argsort(identity, kind="stable")
    index = np.empty(len(identity), np.int64)
    index[order] = np.arange(len(identity)) - np.searchsorted(identity[order], identity[order])
    return index
