"""What Parquet and Arrow tables of images share: columns as Hugging Face `datasets` names and types them."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from stages import formats

LABELS = ("label", "identity")
KINDS = {"iuUS": "whole numbers or names", "iu": "whole numbers", "biu": "true or false"}
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])  # the `Image` feature


class Tables(Protocol):
    """Tables in several files, as one."""

    names: list[set[str]]  # the columns of each file
    passed: int  # files among them that are no data

    def column(self, name: str) -> np.ndarray:
        """Return a column of all files (n,)."""
        ...

    def encoded(self, row: int) -> bytes:
        """Return the encoded image of a row."""
        ...

    def source(self, row: int) -> str:
        """Return the file and the row within it."""
        ...


class Labelled:
    """The faces of tables that say who is on each."""

    size = None

    def __init__(self, path: str | Path, tables: Tables) -> None:
        """Read the labels; raises ValueError when there are none."""
        self._tables, self.passed = tables, tables.passed
        self.identity = formats.people(values(path, tables, "iuUS", *LABELS))

    def encoded(self, row: int) -> bytes:
        """Return the encoded image of a row."""
        return self._tables.encoded(row)

    def source(self, row: int) -> str:
        """Return the file and the row within it."""
        return self._tables.source(row)


def values(path: str | Path, tables: Tables, kinds: str, *names: str) -> np.ndarray:
    """Return the first column of `names` that all files have beside `image` (n,).

    Raises ValueError when there is none or it does not hold values of `kinds`, NumPy's letters, throughout.
    """
    for name in names:
        if all({name, "image"} <= found for found in tables.names):
            column = tables.column(name)
            if column.dtype.kind not in kinds:
                raise ValueError(f"{path}: {name}: a missing or unsuitable value; allowed: {KINDS[kinds]}")
            return column
    found = ", ".join(sorted(set.intersection(*tables.names)))
    raise ValueError(f"{path}: columns {found}; allowed: image, and {' or '.join(names)}")


def image_bytes(value: Any, source: str) -> bytes:
    """Return the bytes of a cell of `image`; raises ValueError when it only names a file elsewhere."""
    image = value.get("bytes") if isinstance(value, dict) else value
    if not isinstance(image, bytes):
        raise ValueError(f"{source}: no image bytes; allowed: bytes, or a struct of bytes and path")
    return image


def cells(images: Iterable[bytes], first: int, source: str) -> list[dict[str, Any]]:
    """Return cells of `image`, numbered from `first`."""
    numbered = enumerate(images, first)
    return [{"bytes": image, "path": f"{i:08d}{formats.suffix(image, source)}"} for i, image in numbered]


def schema(**others: pa.DataType) -> pa.Schema:
    """Return a schema of `image` and other columns that tells `datasets` how to decode it."""
    metadata = {"huggingface": json.dumps({"info": {"features": features(**others)}})}
    return pa.schema([("image", IMAGE), *others.items()], metadata=metadata)


def features(**others: pa.DataType) -> dict[str, Any]:
    """Return the features of `image` and other columns in the words of `datasets`."""
    values = {name: {"dtype": str(kind), "_type": "Value"} for name, kind in others.items()}
    return {"image": {"_type": "Image"}, **values}
