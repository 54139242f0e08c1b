"""Arrow files: our own image shards, and what Hugging Face `datasets` leaves with `save_to_disk`.

Ours are Arrow IPC files, the others Arrow streams; both are memory-mapped.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa

from stages.common import tables
from stages.formats import Faces, columns, layouts
from stages.formats.columns import Labelled


class Tables:
    """Memory-mapped Arrow files in the order of names."""

    def __init__(self, path: str | Path) -> None:
        """Map the files; raises InputError when one is no Arrow file, is corrupt or has no images."""
        self._files, self.skipped = layouts.set_files(path, ".arrow")
        mapped = {file: tables.mapped(file) for file in self._files}
        self.types = {file: columns.types(table.schema, file) for file, table in mapped.items()}
        self._tables = list(mapped.values())
        self._images = [columns.images(_column(table, "image", file)) for file, table in mapped.items()]
        self._starts = np.cumsum([0, *(table.num_rows for table in self._tables)])

    def column(self, name: str) -> list[pa.ChunkedArray]:
        """Return a column of each file."""
        return [_column(table, name, file) for file, table in zip(self._files, self._tables, strict=True)]

    def encoded(self, row: int) -> bytes:
        """Return the encoded image of a row."""
        number, place = self._place(row)
        return columns.image_bytes(self._images[number][place].as_py(), self.source(row))

    def source(self, row: int) -> str:
        """Return the file and the row within it."""
        number, place = self._place(row)
        return f"{self._files[number]}: row {place}"

    def _place(self, row: int) -> tuple[int, int]:
        """Return the number of a row's file and the row within it."""
        number = int(np.searchsorted(self._starts, row, "right")) - 1
        return number, row - int(self._starts[number])


def _column(table: pa.Table, name: str, file: Path) -> pa.ChunkedArray:
    column = table.column(name)
    tables.check(column, f"{file}: {name}")
    return column


def read(path: str | Path) -> Faces:
    """Return the faces of Arrow files; raises InputError when one is broken or lacks a column."""
    return Labelled(path, Tables(path))
