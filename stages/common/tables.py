"""Tables as Arrow IPC files, which pandas, polars, pyarrow and Hugging Face `datasets` open as they are."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from stages.common import artifacts

MANIFEST = pa.schema(
    [
        ("set", pa.string()),  # the image is data/SET/SHARD, row ROW
        ("shard", pa.string()),
        ("row", pa.int32()),
        ("label_a", pa.int32()),  # the sample shows `weight` of label_a and the rest of label_b
        ("label_b", pa.int32()),
        ("weight", pa.float32()),
        ("domain", pa.string()),  # main, or mix: joins by domain mixup
    ]
)
PAIRS = pa.schema([("a", pa.int32()), ("b", pa.int32()), ("same", pa.bool_()), ("fold", pa.int8())])


def of(schema: pa.Schema, columns: Mapping[str, Any]) -> pa.Table:
    """Return the table of a schema from its columns."""
    return pa.table({name: pa.array(columns[name], schema.field(name).type) for name in schema.names})


def write(file: str | Path, table: pa.Table) -> None:
    """Write a table."""
    with (
        artifacts.output_file(file) as fresh,
        pa.OSFile(str(fresh), "wb") as sink,
        pa.ipc.new_file(sink, table.schema) as writer,
    ):
        writer.write_table(table)


def read(file: str | Path, schema: pa.Schema | None = None) -> pa.Table:
    """Return the memory-mapped table in `file`, with its metadata.

    Raises ValueError when the file is missing or truncated or, given a schema, when its columns are others.
    """
    artifacts.existing(file)
    try:
        table = pa.ipc.open_file(pa.memory_map(str(file))).read_all()
        table.validate()
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"{file}: truncated or not an Arrow IPC file ({error})") from error
    if schema is not None and not table.schema.equals(schema):  # metadata may differ
        raise ValueError(f"{file}: columns {table.schema.names}; allowed: {schema.names}, of the types of their schema")
    return table
