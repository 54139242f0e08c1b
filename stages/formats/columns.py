"""What Parquet and Arrow tables of images share: columns as Hugging Face `datasets` names and types them."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from stages import formats
from stages.common import artifacts, tables
from stages.common.errors import InputError

LABELS = ("label", "identity")
NAME_LENGTH = 1000  # characters, at most, of a label
IMAGE_VALUES = "bytes, or a struct of bytes and path"
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])  # the `Image` feature


class Tables(Protocol):
    """Tables in several files, as one."""

    types: dict[Path, dict[str, pa.DataType]]  # the columns of each file, `image` among them
    skipped: int  # files among them that are no data

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
        """Read the labels; raises InputError when there are none."""
        self._tables, self.skipped = tables, tables.skipped
        self.identity = formats.people(people(path, tables))

    def encoded(self, row: int) -> bytes:
        """Return the encoded image of a row."""
        return self._tables.encoded(row)

    def source(self, row: int) -> str:
        """Return the file and the row within it."""
        return self._tables.source(row)


def people(path: str | Path, tables: Tables) -> np.ndarray:
    """Return the labels (n,), names as numbers in their order; raises InputError for one that is missing or neither."""
    name = _shared_column(path, tables, LABELS)
    if not all(_is_name(kinds[name]) for kinds in tables.types.values()):
        return numbers(path, tables, name)
    code_of: dict[str, int] = {}
    codes = np.fromiter((code_of.setdefault(person, len(code_of)) for person in _names(tables, name)), np.int64)
    return formats.people(np.array(list(code_of), object))[_not_empty(codes, path)]


def _names(tables: Tables, name: str) -> Iterable[str]:
    for file, column in zip(tables.types, tables.column(name), strict=True):
        for row, value in enumerate(column):  # one by one: a few long names may stand in many rows
            person = value.as_py()
            if person is None or len(person) > NAME_LENGTH:
                problem = "missing" if person is None else f"a name of {len(person):,} characters"
                raise InputError(file, problem, key=f"{name} of row {row}", allowed=f"1 to {NAME_LENGTH:,} characters")
            yield person


def numbers(path: str | Path, tables: Tables, name: str, truth: bool = False) -> np.ndarray:
    """Return a column (n,) int64 of whole numbers; where `truth` is set, also of true and false.

    Raises InputError when a file lacks the column or a value of it, or holds something else.
    """
    name, allowed = _shared_column(path, tables, (name,)), "true or false" if truth else "whole numbers"
    for file, kinds in tables.types.items():
        kind = _value_type(kinds[name])
        if not (pa.types.is_integer(kind) or (truth and pa.types.is_boolean(kind))):
            raise InputError(file, key=name, value=str(kind), allowed=allowed)
    pairs = zip(tables.types, tables.column(name), strict=True)
    return _not_empty(np.concatenate([_numbers(column, file, name, allowed) for file, column in pairs]), path)


def _numbers(column: pa.ChunkedArray, file: Path, name: str, allowed: str) -> np.ndarray:
    try:
        column = column.cast(pa.int64())
    except pa.ArrowInvalid as error:
        raise InputError(file, artifacts.brief(error), key=name, allowed=allowed) from error
    if column.null_count:
        raise InputError(file, "a missing value", key=name, allowed=allowed)
    return column.to_numpy()


def _not_empty(column: np.ndarray, path: str | Path) -> np.ndarray:
    if not len(column):
        raise InputError(path, "no rows", allowed="one or more")
    return column


def _shared_column(path: str | Path, tables: Tables, names: Iterable[str]) -> str:
    """Return the first of `names` that is a column of all files."""
    for name in names:
        if all(name in kinds for kinds in tables.types.values()):
            return name
    shared = ", ".join(sorted(set.intersection(*map(set, tables.types.values()))))
    raise InputError(path, key="columns", value=shared, allowed=f"image, and {' or '.join(names)}")


def _value_type(kind: pa.DataType) -> pa.DataType:
    """Return the type of the values of a column, which may be kept as a dictionary of them."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _is_name(kind: pa.DataType) -> bool:
    return any(
        test(_value_type(kind)) for test in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    )


def types(schema: pa.Schema, file: Path) -> dict[str, pa.DataType]:
    """Return the types of a file's columns; raises InputError when `image` is missing or cannot hold images."""
    tables.distinct(schema.names, file)
    kinds = {field.name: field.type for field in schema}
    if "image" not in kinds:
        raise InputError(file, key="columns", value=", ".join(schema.names), allowed="image, and others")
    image = kinds["image"]
    if pa.types.is_struct(image) and image.get_field_index("bytes") >= 0:
        image = image.field("bytes").type
    tests = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view, pa.types.is_null)
    if not any(test(_value_type(image)) for test in tests):
        raise InputError(file, key="image", value=str(kinds["image"]), allowed=IMAGE_VALUES)
    return kinds


def images(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the bytes of a column `image`, without the path that may lie beside them."""
    if not pa.types.is_struct(column.type):
        return column
    return pa.chunked_array([chunk.field("bytes") for chunk in column.chunks], column.type.field("bytes").type)


def image_bytes(value: Any, source: str) -> bytes:
    """Return the bytes of an image; raises InputError when there are none, as where it only names a file elsewhere."""
    if not isinstance(value, bytes):
        raise InputError(source, "no image bytes", allowed=IMAGE_VALUES)
    return value


def cells(images: Iterable[bytes], first: int, source: str) -> list[dict[str, Any]]:
    """Return cells of `image`, numbered from `first`."""
    numbered = enumerate(images, first)
    return [{"bytes": image, "path": f"{i:08d}{formats.suffix(image, source)}"} for i, image in numbered]


def schema(**columns: pa.DataType) -> pa.Schema:
    """Return a schema of `image` and other columns that tells `datasets` how to decode the images."""
    metadata = {"huggingface": json.dumps({"info": {"features": features(**columns)}})}
    return pa.schema([("image", IMAGE), *columns.items()], metadata=metadata)


def features(**columns: pa.DataType) -> dict[str, Any]:
    """Return the features of `image` and other columns as `datasets` writes them."""
    values = {name: {"dtype": str(kind), "_type": "Value"} for name, kind in columns.items()}
    return {"image": {"_type": "Image"}, **values}
