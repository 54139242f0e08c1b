"""What Parquet and Arrow tables of images share: columns as Hugging Face `datasets` names and types them."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from stages import formats
from stages.common import artifacts, tables

LABELS = ("label", "identity")
NAME_LENGTH = 1000  # characters, at most, of a label
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])  # the `Image` feature


class Tables(Protocol):
    """Tables in several files, as one."""

    types: dict[Path, dict[str, pa.DataType]]  # the columns of each file, `image` among them
    passed: int  # files among them that are no data

    def column(self, name: str) -> list[pa.ChunkedArray]:
        """Return a column of each file, its values checked."""
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
        self.identity = formats.people(people(path, tables))

    def encoded(self, row: int) -> bytes:
        """Return the encoded image of a row."""
        return self._tables.encoded(row)

    def source(self, row: int) -> str:
        """Return the file and the row within it."""
        return self._tables.source(row)


def people(path: str | Path, tables: Tables) -> np.ndarray:
    """Return the labels (n,), names as the numbers of their order; raises ValueError when one is missing or neither."""
    name = _common(path, tables, LABELS)
    if not all(_is_name(kinds[name]) for kinds in tables.types.values()):
        return numbers(path, tables, name)
    found: dict[str, int] = {}
    codes = [found.setdefault(person, len(found)) for person in _names(tables, name)]
    rank = {code: i for i, (_, code) in enumerate(sorted(found.items()))}
    return _some(np.array([rank[code] for code in codes], np.int64), path)


def _names(tables: Tables, name: str) -> Iterable[str]:
    for file, column in zip(tables.types, tables.column(name), strict=True):
        for row, value in enumerate(column):  # one by one: a few long names may stand in many rows
            person = value.as_py()
            if person is None or len(person) > NAME_LENGTH:
                found = "a missing name" if person is None else f"a name of {len(person):,} characters"
                raise ValueError(f"{file}: row {row}: {name}: {found}; allowed: 1 to {NAME_LENGTH:,} characters")
            yield person


def numbers(path: str | Path, tables: Tables, name: str, truth: bool = False) -> np.ndarray:
    """Return a column of whole numbers (n,) int64, or where `truth` allows it of true and false.

    Raises ValueError when a file lacks it or a value of it, or holds something else.
    """
    name, allowed = _common(path, tables, (name,)), "true or false" if truth else "whole numbers"
    for file, kinds in tables.types.items():
        kind = _values(kinds[name])
        if not (pa.types.is_integer(kind) or (truth and pa.types.is_boolean(kind))):
            raise ValueError(f"{file}: {name}: {artifacts.brief(kind)}; allowed: {allowed}")
    found = zip(tables.types, tables.column(name), strict=True)
    return _some(np.concatenate([_numbers(column, f"{file}: {name}", allowed) for file, column in found]), path)


def _numbers(column: pa.ChunkedArray, source: str, allowed: str) -> np.ndarray:
    try:
        column = column.cast(pa.int64())
    except pa.ArrowInvalid as error:
        raise ValueError(f"{source}: {artifacts.brief(error)}; allowed: {allowed}") from error
    if column.null_count:
        raise ValueError(f"{source}: a missing value; allowed: {allowed}")
    return column.to_numpy()


def _some(column: np.ndarray, path: str | Path) -> np.ndarray:
    if not len(column):
        raise ValueError(f"{path}: no rows; allowed: one or more")
    return column


def _common(path: str | Path, tables: Tables, names: Iterable[str]) -> str:
    """Return the first of `names` that is a column of all files."""
    for name in names:
        if all(name in kinds for kinds in tables.types.values()):
            return name
    found = artifacts.brief(", ".join(sorted(set.intersection(*map(set, tables.types.values())))))
    raise ValueError(f"{path}: columns {found}; allowed: image, and {' or '.join(names)}")


def _values(kind: pa.DataType) -> pa.DataType:
    """Return the type of the values of a column, which may be kept as a dictionary of them."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _is_name(kind: pa.DataType) -> bool:
    return any(test(_values(kind)) for test in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view))


def types(schema: pa.Schema, file: Path) -> dict[str, pa.DataType]:
    """Return the types of a file's columns; raises ValueError when `image` is missing or cannot hold images."""
    tables.distinct(schema.names, file)
    found = {field.name: field.type for field in schema}
    if "image" not in found:
        raise ValueError(f"{file}: columns {artifacts.brief(', '.join(schema.names))}; allowed: image, and others")
    image = found["image"]
    if pa.types.is_struct(image) and image.get_field_index("bytes") >= 0:
        image = image.field("bytes").type
    tests = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view, pa.types.is_null)
    if not any(test(_values(image)) for test in tests):
        allowed = "bytes, or a struct of bytes and path"
        raise ValueError(f"{file}: image: {artifacts.brief(found['image'])}; allowed: {allowed}")
    return found


def images(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the bytes of a column `image`, without the path that may lie beside them."""
    if not pa.types.is_struct(column.type):
        return column
    return pa.chunked_array([chunk.field("bytes") for chunk in column.chunks], column.type.field("bytes").type)


def image_bytes(value: Any, source: str) -> bytes:
    """Return the bytes of an image; raises ValueError when there are none, as where it only names a file elsewhere."""
    if not isinstance(value, bytes):
        raise ValueError(f"{source}: no image bytes; allowed: bytes, or a struct of bytes and path")
    return value


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
