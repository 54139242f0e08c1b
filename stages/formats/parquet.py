"""Parquet as Hugging Face `datasets` reads and writes it: `image` a struct of bytes and path, `label` a number."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from stages import formats
from stages.common import artifacts, tables
from stages.common.errors import InputError
from stages.formats import Faces, columns, layouts, parquet_pages
from stages.formats.columns import Labelled

ROWS_PER_GROUP = 256  # read together
GROUPS_PER_FILE = 64
LEAVES = {"image", "image.bytes", *columns.LABELS}  # columns of bytes or text


class Tables:
    """Parquet files in the order of names; the images of the row group that was read last stay in memory."""

    def __init__(self, path: str | Path) -> None:
        """Read the footers of the files; raises InputError when one is no Parquet or has no images."""
        files, self.skipped = layouts.set_files(path, ".parquet")
        self._files = {file: _opened(file) for file in files}
        self.types = {name: columns.types(file.schema_arrow, name) for name, file in self._files.items()}
        self._groups = [(name, i) for name, file in self._files.items() for i in range(file.num_row_groups)]
        self._starts = np.cumsum([0, *(self._files[name].metadata.row_group(i).num_rows for name, i in self._groups)])
        self._group, self._images = -1, pa.chunked_array([], pa.binary())

    def column(self, name: str) -> list[pa.ChunkedArray]:
        """Return a column of each file."""
        chunks_of: dict[Path, list[pa.Array]] = {file: [] for file in self._files}
        for file, group in self._groups:
            chunks_of[file] += self._read(file, group, name).chunks
        return [pa.chunked_array(chunks, self.types[file][name]) for file, chunks in chunks_of.items()]

    def encoded(self, row: int) -> bytes:
        """Return the encoded image of a row."""
        number = self._group_number(row)
        if self._group != number:
            file, group = self._groups[number]
            kind = self.types[file]["image"]
            leaf = "image.bytes" if pa.types.is_struct(kind) else "image"
            self._images = columns.images(self._read(file, group, leaf))
            self._group = number
        return columns.image_bytes(self._images[row - int(self._starts[number])].as_py(), self.source(row))

    def source(self, row: int) -> str:
        """Return the file and the row within it."""
        number = self._group_number(row)
        file, group = self._groups[number]
        return f"{file}: row {row - int(self._starts[number - group])}"

    def _group_number(self, row: int) -> int:
        return int(np.searchsorted(self._starts, row, "right")) - 1

    def _read(self, file: Path, group: int, leaf: str) -> pa.ChunkedArray:
        """Return a column of a row group; raises InputError when it is corrupt or takes far more memory than disk."""
        key, metadata = f"{leaf}: row group {group}", self._files[file].metadata.row_group(group)
        try:
            chunks = {chunk.path_in_schema: chunk for chunk in map(metadata.column, range(metadata.num_columns))}
            data = memoryview(pa.memory_map(str(file)).read_buffer()).cast("B")
            expanded = parquet_pages.expanded(data, chunks[leaf])
        except InputError as error:
            raise InputError(file, error.problem, key=key, allowed=error.allowed) from error
        except (*tables.BROKEN, KeyError, ValueError) as error:
            raise InputError(file, artifacts.brief(error), key=key) from error
        tables.check_expansion(expanded, chunks[leaf].total_compressed_size, f"{file}: {key}")
        try:
            column = self._files[file].read_row_group(group, [leaf]).column(0)
        except tables.BROKEN as error:
            raise InputError(file, artifacts.brief(error), key=key) from error
        tables.check(column, f"{file}: {key}")
        if len(column) != metadata.num_rows:
            raise InputError(file, f"{len(column)} rows", key=key, allowed=f"{metadata.num_rows}, as its footer says")
        return column


def _opened(file: Path) -> pq.ParquetFile:
    """Open a file so that columns with a dictionary keep it: one long value may stand in many rows."""
    size = file.stat().st_size
    try:
        metadata = pq.read_metadata(file)
        leaves = {metadata.schema.column(i).path for i in range(metadata.num_columns)} & LEAVES
        opened = pq.ParquetFile(file, metadata=metadata, read_dictionary=sorted(leaves))
        rows = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
        _ = opened.schema_arrow.names
    except (*tables.BROKEN, ValueError) as error:
        raise InputError(file, f"not a readable Parquet file: {artifacts.brief(error)}") from error
    if min(rows, default=0) < 0 or sum(rows) > size:
        raise InputError(file, f"{sum(rows):,} rows in {size:,} bytes", allowed="a byte or more for each row")
    return opened


def read(path: str | Path) -> Faces:
    """Return the faces of Parquet files; raises InputError when one is broken or lacks a column."""
    return Labelled(path, Tables(path))


def write(folder: Path, faces: Faces) -> None:
    """Write train-00000-of-N.parquet and so on, which `datasets.load_dataset` opens by the folder's name."""
    schema = columns.schema(label=pa.int64())
    rows, rows_per_file = len(faces.identity), ROWS_PER_GROUP * GROUPS_PER_FILE
    starts = range(0, rows, rows_per_file)
    for i, start in enumerate(formats.progress(starts, "write Parquet")):
        with pq.ParquetWriter(folder / f"train-{i:05d}-of-{len(starts):05d}.parquet", schema) as writer:
            for first in range(start, min(start + rows_per_file, rows), ROWS_PER_GROUP):
                part = range(first, min(first + ROWS_PER_GROUP, rows))
                image = columns.cells(map(faces.encoded, part), first, faces.source(first))
                writer.write_table(pa.table({"image": image, "label": faces.identity[first : part.stop]}, schema))
