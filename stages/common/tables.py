"""Tables as Arrow IPC files, which pandas, polars, pyarrow and Hugging Face `datasets` open as they are."""

import struct
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from stages.common import artifacts
from stages.common.errors import InputError

MANIFEST = pa.schema(
    [
        ("set", pa.dictionary(pa.int8(), pa.string())),  # the image is data/SET/SHARD, row ROW
        ("shard", pa.dictionary(pa.int32(), pa.string())),
        ("row", pa.int32()),
        ("label_a", pa.int32()),  # the sample shows `weight` of label_a and the rest of label_b
        ("label_b", pa.int32()),
        ("weight", pa.float32()),
        ("domain", pa.dictionary(pa.int8(), pa.string())),  # main, or mix: joins by domain mixup
    ]
)
DRAWN = pa.schema(  # data/generate/images.feather: a row for each plain or mixed image
    [
        ("prefix", pa.dictionary(pa.int8(), pa.string())),  # the image is in data/generate/PREFIX-NUMBER.arrow
        ("identity", pa.int32()),
        ("index", pa.int32()),
        ("width", pa.int32()),  # it is mixed among the first so many identities; null: it is plain
        ("cosine", pa.float32()),  # of the perturbed row to its identity's; null: it is mixed
    ]
)
IMAGES = pa.schema(  # data/audit/images.arrow: a row for each image of data/generate that may be chosen
    [
        ("kind", pa.dictionary(pa.int8(), pa.string())),  # plain | mixup
        ("width", pa.int32()),  # as in DRAWN, with `cosine`
        ("identity", pa.int32()),
        ("index", pa.int32()),
        ("partner", pa.int32()),
        ("ratio", pa.float32()),
        ("shard", pa.dictionary(pa.int32(), pa.string())),  # the image is data/generate/SHARD, row ROW
        ("row", pa.int32()),
        ("cosine", pa.float32()),
        ("embedding", pa.int32()),  # row of recogniser.npy and judge.npy; null: mixed images have none
        ("kept", pa.bool_()),
    ]
)
PAIRS = pa.schema([("a", pa.int32()), ("b", pa.int32()), ("same", pa.bool_()), ("fold", pa.int8())])
ROWS_PER_BATCH = 1 << 16  # of a table that is written in parts
FILE = b"ARROW1\0\0"  # how a file begins; a stream follows, then a footer
END = b"\xff\xff\xff\xff\0\0\0\0"  # how a stream ends
EXPANDED_BYTES, EXPANDED_TIMES = 1 << 26, 4  # memory that a compressed file may take: bytes, or times its size
BROKEN = (pa.ArrowException, OSError, UnicodeDecodeError)  # what pyarrow raises over corrupt bytes


def pairs(a: np.ndarray, b: np.ndarray, same: np.ndarray, fold: np.ndarray) -> pa.Table:
    """Return the table of pairs (p,): their rows, whether both show one person, and the fold."""
    return of(PAIRS, {"a": a, "b": b, "same": same, "fold": fold})


def of(schema: pa.Schema, columns: Mapping[str, Any]) -> pa.Table:
    """Return the table of a schema from its columns: arrays of Arrow or NumPy, or lists."""
    return pa.table({name: columns[name] for name in schema.names}, schema)


def write(file: str | Path, table: pa.Table) -> None:
    """Write a table."""
    with writing(file, table.schema) as write_part:
        write_part(table.unify_dictionaries())  # a file holds one dictionary per column


@contextmanager
def writing(file: str | Path, schema: pa.Schema) -> Iterator[Callable[[pa.Table], None]]:
    """Yield a function that appends a table to those in `file`; they share their dictionaries, as `worded` makes them.

    The file is there when the block ends well.
    """
    with (
        artifacts.output_file(file) as fresh,
        pa.OSFile(str(fresh), "wb") as sink,
        pa.ipc.new_file(sink, schema) as writer,
    ):
        yield writer.write_table


def worded(number: np.ndarray, words: Sequence[str]) -> pa.Array:
    """Return a dictionary column of the word of each number (n,)."""
    return pa.DictionaryArray.from_arrays(pa.array(number), pa.array(words, pa.string()))


def read(
    file: str | Path,
    schema: pa.Schema | None = None,
    nullable: Sequence[str] = (),
    content: pa.Buffer | None = None,
) -> pa.Table:
    """Return the memory-mapped table in `file`, with its metadata.

    content: the file's bytes, where the caller has mapped them.

    Raises ValueError when the file is missing, truncated or corrupt, when a value is missing in a column that is not
    `nullable` or, given a schema, when its columns are others.
    """
    table = mapped(artifacts.existing(file), content)
    if schema is not None and not table.schema.equals(schema):  # metadata may differ
        columns, allowed = (artifacts.brief(names) for names in (table.schema.names, schema.names))
        raise InputError(file, f"columns {columns}", allowed=f"{allowed}, of the types that we write")
    for field, column in zip(table.schema, table.columns, strict=True):
        if schema is None and not (pa.types.is_primitive(field.type) or field.type in (pa.string(), pa.binary())):
            kind = artifacts.brief(field.type)
            raise InputError(file, kind, key=artifacts.brief(field.name), allowed="numbers, text or bytes")
        check(column, file, field.name)
        if column.null_count and field.name not in nullable:
            raise InputError(file, f"{column.null_count} missing values", key=field.name, allowed="none")
    return table


def check(column: pa.ChunkedArray, source: str | Path, name: str = "") -> None:
    """Raise ValueError with `source` and `name` unless every value lies within the column's bytes, and text is UTF-8.

    pyarrow trusts the offsets of what it maps: a corrupt one ends the process.
    """
    try:
        column.validate(full=True)
    except pa.ArrowInvalid as error:
        raise InputError(source, f"corrupt ({artifacts.brief(error)})", key=artifacts.brief(name)) from error


def mapped(file: Path, content: pa.Buffer | None = None) -> pa.Table:
    """Return the memory-mapped table in an Arrow file or stream, its values unchecked: see `check`.

    content: the file's bytes, where the caller has mapped them.

    Raises ValueError when the file is truncated or neither of the two, would take far more memory than disk, or has two
    columns of one name.
    """
    size = file.stat().st_size
    try:
        source = pa.memory_map(str(file)) if content is None else pa.BufferReader(content)
        start = _start(source, size)
        source.seek(start)
        expanded = sum(_expanded(message) for message in pa.ipc.MessageReader.open_stream(source))
        check_expansion(expanded, size, str(file))
        source.seek(start)
        table = pa.ipc.open_stream(source).read_all()
        names = table.schema.names
    except (*BROKEN, struct.error) as error:
        raise InputError(file, f"truncated, or not an Arrow file or stream ({artifacts.brief(error)})") from error
    distinct(names, file)
    return table


def distinct(names: Sequence[str], file: Path) -> None:
    """Raise ValueError when two columns of a file share a name."""
    name, count = Counter(names).most_common(1)[0] if names else ("", 1)
    if count > 1:
        raise InputError(file, f"{count} columns of this name", key=artifacts.brief(name), allowed="one")


def check_expansion(expanded: int, size: int, source: str) -> None:
    """Raise ValueError naming `source` when `size` compressed bytes expand to more than any images would."""
    allowed = max(EXPANDED_BYTES, EXPANDED_TIMES * size)
    if expanded > allowed:
        raise InputError(source, f"{expanded:,} bytes, compressed to {size:,}", allowed=f"at most {allowed:,}")


def _start(source: pa.NativeFile, size: int) -> int:
    """Return where the stream in an Arrow file, or a bare one, begins; raises ArrowInvalid when it has no end."""
    if source.read(len(FILE)) == FILE:
        pa.ipc.open_file(source)  # finds the footer
        return len(FILE)
    source.seek(max(0, size - len(END)))
    if source.read() != END:
        raise pa.ArrowInvalid("no mark at its end")
    return 0


def _expanded(message: pa.Message) -> int:
    """Return the length that the compressed buffers of a message state for their contents; 0 when none is compressed.

    pyarrow allocates that length before it reads on, so we read it first, from the message's flatbuffer: the codec is
    field 3 of a RecordBatch, the places of the buffers field 2. A buffer begins with its length, or with -1 where it is
    stored uncompressed.
    """
    data = memoryview(message.metadata)
    batch = _follow(data, _field(data, _follow(data, 0), 2))
    if message.type == "dictionary":
        batch = _follow(data, _field(data, batch, 1))
    if message.type == "schema" or not _field(data, batch, 3):
        return 0
    buffers = _follow(data, _field(data, batch, 2))
    count = struct.unpack_from("<I", data, buffers)[0]
    places = struct.iter_unpack("<qq", data[buffers + 4 : buffers + 4 + 16 * count])
    return sum(max(0, struct.unpack_from("<q", message.body, at)[0]) for at, length in places if length)


def _field(data: memoryview, table: int, number: int) -> int:
    """Return where a flatbuffer's table keeps a field, 0 when it has none."""
    vtable = table - struct.unpack_from("<i", data, table)[0]
    if 4 + 2 * number >= struct.unpack_from("<H", data, vtable)[0]:
        return 0
    offset = struct.unpack_from("<H", data, vtable + 4 + 2 * number)[0]
    return table + offset if offset else 0


def _follow(data: memoryview, at: int) -> int:
    """Return where a flatbuffer's reference leads."""
    return at + struct.unpack_from("<I", data, at)[0]
