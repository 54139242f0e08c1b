"""Arrow files: our own image shards, and what Hugging Face `datasets` leaves with `save_to_disk`.

Ours are Arrow IPC files, the others Arrow streams; both are memory-mapped.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa

from stages.formats import Faces, columns, layouts
from stages.formats.columns import Labelled

FILE = b"ARROW1"  # how a file begins
END = b"\xff\xff\xff\xff\0\0\0\0"  # how a stream ends


class Tables:
    """Memory-mapped Arrow files in the order of names."""

    def __init__(self, path: str | Path) -> None:
        """Map the files; raises ValueError when one is no Arrow file."""
        self._files, self.passed = layouts.listing(path, ".arrow")
        self._tables = [_mapped(file) for file in self._files]
        self._starts = np.cumsum([0, *(table.num_rows for table in self._tables)])
        self.names = [set(table.column_names) for table in self._tables]

    def column(self, name: str) -> np.ndarray:
        """Return a column of all files (n,)."""
        return np.concatenate([np.array(table[name].to_pylist()) for table in self._tables])

    def encoded(self, row: int) -> bytes:
        """Return the encoded image of a row."""
        number, place = self._at(row)
        return columns.image_bytes(self._tables[number]["image"][place].as_py(), self.source(row))

    def source(self, row: int) -> str:
        """Return the file and the row within it."""
        number, place = self._at(row)
        return f"{self._files[number]}: row {place}"

    def _at(self, row: int) -> tuple[int, int]:
        number = int(np.searchsorted(self._starts, row, "right")) - 1
        return number, row - int(self._starts[number])


def _mapped(file: Path) -> pa.Table:
    with file.open("rb") as stream:
        opened = pa.ipc.open_file if stream.read(len(FILE)) == FILE else pa.ipc.open_stream
        stream.seek(max(0, file.stat().st_size - len(END)))
        ended = opened is pa.ipc.open_file or stream.read() == END
    try:
        if ended:
            return opened(pa.memory_map(str(file))).read_all()
        problem = "no mark at its end"
    except (pa.ArrowInvalid, OSError) as error:
        problem = str(error)
    raise ValueError(f"{file}: truncated, or neither an Arrow file nor a stream ({problem})")


def read(path: str | Path) -> Faces:
    """Return the faces of Arrow files; raises ValueError when one is broken or lacks a column."""
    return Labelled(path, Tables(path))
