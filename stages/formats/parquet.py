"""Parquet as Hugging Face `datasets` reads and writes it: `image` a struct of bytes and path, `label` a number."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from stages import formats
from stages.common import artifacts, tables
from stages.formats import Faces, columns, layouts, parquet_pages
from stages.formats.columns import Labelled

ROWS_PER_GROUP = 256  # read together
GROUPS_PER_FILE = 64
LEAVES = {"image", "image.bytes", *columns.LABELS}  # columns of bytes or text


class Tables:
    """Parquet files in the order of names; the row group that was read last is kept."""

    def __init__(self, path: str | Path) -> None:
        """Read what the files hold; raises ValueError when one is no Parquet or has no images."""
        found, self.passed = layouts.listing(path, ".parquet")
        self._files = {file: _opened(file) for file in found}
        self.types = {name: columns.types(file.schema_arrow, name) for name, file in self._files.items()}
        self._groups = [(name, i) for name, file in self._files.items() for i in range(file.num_row_groups)]
        self._starts = np.cumsum([0, *(self._files[name].metadata.row_group(i).num_rows for name, i in self._groups)])
        self._kept: tuple[int, pa.ChunkedArray] = (-1, pa.chunked_array([], pa.binary()))

    def column(self, name: str) -> list[pa.ChunkedArray]:
        """Return a column of each file."""
        found: dict[Path, list[pa.Array]] = {file: [] for file in self._files}
        for file, group in self._groups:
            found[file] += self._read(file, group, name).chunks
        return [pa.chunked_array(chunks, self.types[file][name]) for file, chunks in found.items()]

    def encoded(self, row: int) -> bytes:
        """Return the encoded image of a row."""
        number = self._group(row)
        if self._kept[0] != number:
            file, group = self._groups[number]
            kind = self.types[file]["image"]
            leaf = "image.bytes" if pa.types.is_struct(kind) else "image"
            self._kept = number, columns.images(self._read(file, group, leaf))
        return columns.image_bytes(self._kept[1][row - int(self._starts[number])].as_py(), self.source(row))

    def source(self, row: int) -> str:
        """Return the file and the row within it."""
        number = self._group(row)
        name, group = self._groups[number]
        return f"{name}: row {row - int(self._starts[number - group])}"

    def _group(self, row: int) -> int:
        return int(np.searchsorted(self._starts, row, "right")) - 1

    def _read(self, name: Path, group: int, leaf: str) -> pa.ChunkedArray:
        """Return a column of a row group; raises ValueError when it is corrupt or takes far more memory than disk."""
        source, found = f"{name}: {leaf}: row group {group}", self._files[name].metadata.row_group(group)
        try:
            chunks = {chunk.path_in_schema: chunk for chunk in map(found.column, range(found.num_columns))}
            data = memoryview(pa.memory_map(str(name)).read_buffer()).cast("B")
            expanded = parquet_pages.expanded(data, chunks[leaf])
        except (*tables.BROKEN, KeyError, ValueError) as error:
            raise ValueError(f"{source}: {artifacts.brief(error)}") from error
        tables.check_expansion(expanded, chunks[leaf].total_compressed_size, source)
        try:
            column = self._files[name].read_row_group(group, [leaf]).column(0)
        except tables.BROKEN as error:
            raise ValueError(f"{source}: {artifacts.brief(error)}") from error
        tables.check(column, source)
        if len(column) != found.num_rows:
            raise ValueError(f"{source}: {len(column)} rows; allowed: {found.num_rows}, as it says")
        return column


def _opened(name: Path) -> pq.ParquetFile:
    """Open a file so that values of which it keeps a dictionary stay one: a short one may stand for many long ones."""
    size = name.stat().st_size
    try:
        metadata = pq.read_metadata(name)
        leaves = {metadata.schema.column(i).path for i in range(metadata.num_columns)} & LEAVES
        file = pq.ParquetFile(name, metadata=metadata, read_dictionary=sorted(leaves))
        rows = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
        _ = file.schema_arrow.names
    except (*tables.BROKEN, ValueError) as error:
        raise ValueError(f"{name}: not a readable Parquet file: {artifacts.brief(error)}") from error
    if min(rows, default=0) < 0 or sum(rows) > size:
        raise ValueError(f"{name}: {sum(rows):,} rows in {size:,} bytes; allowed: a byte or more a row")
    return file


def read(path: str | Path) -> Faces:
    """Return the faces of Parquet files; raises ValueError when one is broken or lacks a column."""
    return Labelled(path, Tables(path))


def write(folder: Path, faces: Faces) -> None:
    """Write train-00000-of-N.parquet and so on, which `datasets.load_dataset` opens by the folder's name."""
    schema = columns.schema(label=pa.int64())
    rows, each = len(faces.identity), ROWS_PER_GROUP * GROUPS_PER_FILE
    starts = range(0, rows, each)
    for i, start in enumerate(formats.progress(starts, "write Parquet")):
        with pq.ParquetWriter(folder / f"train-{i:05d}-of-{len(starts):05d}.parquet", schema) as writer:
            for first in range(start, min(start + each, rows), ROWS_PER_GROUP):
                part = range(first, min(first + ROWS_PER_GROUP, rows))
                image = columns.cells(map(faces.encoded, part), first, faces.source(first))
                writer.write_table(pa.table({"image": image, "label": faces.identity[first : part.stop]}, schema))
