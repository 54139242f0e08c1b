"""Lists of files as text: a set may have millions, and an object for each would take several times as much memory."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import overload

import numpy as np
import pyarrow as pa

PART = 1 << 14  # paths that are Python's own at a time
SEPARATOR = "\0"  # of names in a path: below every other character, so that text sorts as paths do, name by name
Names = tuple[str, ...]  # of the folders that lead to a file, from the root on, and perhaps its own


class Files(Sequence[Path]):
    """Files below `root`; the path of one is made when it is asked for.

    skipped: how many files and folders lie among them that were not wanted.
    """

    def __init__(self, root: Path, paths: pa.LargeBinaryArray, skipped: int = 0) -> None:
        """Hold the paths as `Collector` gathers them."""
        self.root, self.skipped, self._paths = root, skipped, paths

    def __len__(self) -> int:
        """Return the number of files."""
        return len(self._paths)

    @overload
    def __getitem__(self, i: int) -> Path: ...
    @overload
    def __getitem__(self, i: slice) -> list[Path]: ...
    def __getitem__(self, i: int | slice) -> Path | list[Path]:
        """Return the path of a file, or those of a slice."""
        if isinstance(i, slice):
            return [self[number] for number in range(*i.indices(len(self)))]
        return self.root.joinpath(*_names(self._paths[i].as_py()))

    def take(self, numbers: np.ndarray) -> "Files":
        """Return the files with these numbers (k,), in their order."""
        return Files(self.root, self._paths.take(pa.array(numbers)), self.skipped)

    def folders(self) -> Iterator[Names]:
        """Yield the names of the folders between `root` and each file."""
        for start in range(0, len(self), PART):
            for path in self._paths[start : start + PART].to_pylist():
                yield _names(path)[:-1]


class Collector:
    """Gathers files below `root`, and counts what is `skipped`."""

    def __init__(self, root: Path) -> None:
        """Begin without a file."""
        self.root, self.skipped = root, 0
        self._latest: list[bytes] = []
        self._earlier: list[pa.LargeBinaryArray] = []

    def add(self, *names: str) -> None:
        """Add a file by its name, which those of the folders that it lies in precede."""
        self._latest.append(os.fsencode(SEPARATOR.join(names)))
        if len(self._latest) == PART:
            self._put_away()

    def sorted(self) -> Files:
        """Return the files in the order of names."""
        self._put_away()
        paths = pa.concat_arrays(self._earlier)
        return Files(self.root, paths.sort(), self.skipped)

    def _put_away(self) -> None:
        self._earlier.append(pa.array(self._latest, pa.large_binary()))
        self._latest.clear()


def _names(path: bytes) -> Names:
    return tuple(os.fsdecode(path).split(SEPARATOR))
