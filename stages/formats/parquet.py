"""Parquet as Hugging Face `datasets` reads and writes it: `image` a struct of bytes and path, `label` a number."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from stages import formats
from stages.formats import Faces, columns, layouts
from stages.formats.columns import Labelled

ROWS_PER_GROUP = 256  # read together
GROUPS_PER_FILE = 64


class Tables:
    """Parquet files in the order of names; the row group that was read last is kept."""

    def __init__(self, path: str | Path) -> None:
        """Read what the files hold; raises ValueError when one is no Parquet."""
        self._groups: list[tuple[pq.ParquetFile, Path, int]] = []
        self._kept: tuple[int, pa.ChunkedArray] = (-1, pa.chunked_array([], pa.binary()))
        (self._files, self.passed), sizes = layouts.listing(path, ".parquet"), []
        for name in self._files:
            file = _opened(name)
            self._groups += [(file, name, i) for i in range(file.num_row_groups)]
            sizes += [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
        self._starts = np.cumsum([0, *sizes])
        self.names = [set(file.schema_arrow.names) for file, _, _ in self._groups]

    def column(self, name: str) -> np.ndarray:
        """Return a column of all files (n,)."""
        return np.concatenate([np.array(pq.read_table(file, columns=[name])[name].to_pylist()) for file in self._files])

    def encoded(self, row: int) -> bytes:
        """Return the encoded image of a row."""
        number = self._group(row)
        if self._kept[0] != number:
            file, _, group = self._groups[number]
            self._kept = number, file.read_row_group(group, ["image"])["image"]
        return columns.image_bytes(self._kept[1][row - int(self._starts[number])].as_py(), self.source(row))

    def source(self, row: int) -> str:
        """Return the file and the row within it."""
        number = self._group(row)
        _, name, group = self._groups[number]
        return f"{name}: row {row - int(self._starts[number - group])}"

    def _group(self, row: int) -> int:
        return int(np.searchsorted(self._starts, row, "right")) - 1


def _opened(file: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(file)
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"{file}: not a readable Parquet file: {error}") from error


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
