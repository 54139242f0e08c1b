"""WebDataset tars: of each sample an image and its label, a `.cls` with a number or a `.json` with a `label`.

A member's key ends at the first dot of its name (WebDataset's rule), so KEY.face.jpg and KEY.cls are one sample.
SOTA-FR names samples by their file alone, so every person has a 000.jpg. Where a suffix comes again under a key, the
members under it are taken in their order, and the suffix begins another sample.
"""

import io
import json
import mmap
import re
import tarfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from stages import formats
from stages.common import artifacts
from stages.common.errors import InputError
from stages.formats import Faces, columns, layouts

ROWS_PER_FILE = 10_000
END = bytes(2 * tarfile.BLOCKSIZE)  # how a tar ends
NOT_ZERO = re.compile(rb"[^\0]")
LABEL_BYTES = 1 << 16  # at most
DIGITS = 18  # of a label, so that it fits an int64
ALLOWED = "a whole number in a .cls of the same key, or a number or name in a .json as its label"


class Member(NamedTuple):
    """A file in a tar: its name and the bytes in which it lies."""

    name: str
    start: int
    size: int


Sample = dict[str, Member]  # by suffix in lower case: jpg, face.jpg, cls


class _Mapped(mmap.mmap):
    """A mapped file that raises EOFError at its end, where tarfile would ask for more for ever."""

    def read(self, n: int | None = None) -> bytes:
        content = super().read(n)
        if n and not content:
            raise EOFError("it ends too early")
        return content


class WebDataset:
    """The faces of uncompressed tars, in the order of names; images are read by their place in the file."""

    size = None

    def __init__(self, path: str | Path) -> None:
        """Go through the tars once for places and labels.

        Raises InputError when one is broken, or an image has no label of its own.
        """
        self._files, self.skipped = layouts.set_files(path, ".tar")
        tars = [self._read(path, file) for file in formats.progress(self._files, "read tars")]
        self._starts = np.cumsum([0, *(len(names) for names, _, _ in tars)])
        if not self._starts[-1]:
            raise InputError(path, "no image in its tars", allowed=", ".join(sorted(layouts.IMAGES)))
        names, places, labels = zip(*tars, strict=True)
        self._names, self._places = pa.chunked_array(names, pa.string()), np.concatenate(places)
        labels = [part for part in labels if len(part)]
        _check_kinds(path, (part.type for part in labels))
        column = pa.chunked_array(labels)
        self.identity = formats.people(column if column.type == pa.string() else column.to_numpy())

    def encoded(self, row: int) -> bytes:
        """Return the encoded image of a row."""
        start, size = self._places[row].tolist()
        with self._file(row).open("rb") as stream:
            stream.seek(start)
            return stream.read(size)

    def source(self, row: int) -> str:
        """Return the tar and the member of a row."""
        return f"{self._file(row)}: {artifacts.brief(self._names[row].as_py())}"

    def _file(self, row: int) -> Path:
        return self._files[int(np.searchsorted(self._starts, row, "right")) - 1]

    def _read(self, path: str | Path, file: Path) -> tuple[pa.Array, np.ndarray, pa.Array]:
        """Return the name of each image in a tar (n,), its first byte and size (n, 2), and its label (n,)."""
        _check_end(file)
        with file.open("rb") as stream, _Mapped(stream.fileno(), 0, access=mmap.ACCESS_READ) as view:
            members, skipped = _members(file, view)
            pairs = [pair for sample in _samples(members) for pair in _pairs(file, sample)]
            labels = [_label(file, image, label, view) for image, label in pairs]
        self.skipped += skipped + len(members) - len({member for pair in pairs for member in pair})
        _check_kinds(path, map(type, labels))
        places = np.array([(image.start, image.size) for image, _ in pairs], np.int64).reshape(-1, 2)
        return pa.array([image.name for image, _ in pairs], pa.string()), places, pa.array(labels)


def _check_kinds(path: str | Path, kinds: Iterable[object]) -> None:
    if len(set(kinds)) > 1:
        raise InputError(path, "some are numbers, some names", key="labels", allowed="one kind")


def _check_end(file: Path) -> None:
    with file.open("rb") as stream:
        stream.seek(max(0, file.stat().st_size - len(END)))
        if stream.read() != END:
            raise InputError(file, "truncated, or not a plain tar")


def _members(file: Path, view: mmap.mmap) -> tuple[list[Member], int]:
    """Return the files in a tar that may be part of a sample, and how many others there are."""
    members, skipped = [], 0
    try:
        with tarfile.open(fileobj=view, mode="r:") as tar:
            for member in tar:
                path = PurePosixPath(member.name)
                if member.size < 0:  # tarfile would go back, and in circles
                    raise InputError(file, key="size of a member", value=member.size, allowed="0 or more")
                if member.isdir():
                    continue
                if any(map(layouts.hidden, path.parts)) or not path.suffix:
                    skipped += 1
                elif member.isreg() and not member.issparse():
                    members.append(Member(str(path), member.offset_data, member.size))
                elif path.suffix.lower() in layouts.IMAGES:
                    key = f"{member.name!r:.100}"
                    raise InputError(file, "a link, a device or a sparse file", key=key, allowed="plain files")
                else:
                    skipped += 1
            if NOT_ZERO.search(view, tar.offset):
                raise InputError(file, "bytes behind the end of the tar", allowed="one tar in each file")
    except InputError:
        raise
    except (tarfile.TarError, ValueError, OverflowError, EOFError, RecursionError) as error:
        raise InputError(file, f"not a readable tar: {error}") from error
    return members, skipped


def _samples(members: list[Member]) -> Iterator[Sample]:
    """Yield the members by sample: all of one key, or, where a suffix comes twice under it, those in a row."""
    parts_of: dict[str, list[Sample]] = defaultdict(list)  # by key; a part ends where another key or a suffix comes
    last = None
    for member in members:
        folder, _, name = member.name.rpartition("/")
        key, _, suffix = name.partition(".")
        parts, suffix = parts_of[f"{folder}/{key}"], suffix.lower()
        if parts is not last or suffix in parts[-1]:
            parts.append({})
        parts[-1][suffix] = member
        last = parts
    for parts in parts_of.values():
        together = {suffix: member for part in parts for suffix, member in part.items()}
        yield from [together] if len(together) == sum(map(len, parts)) else parts


def _pairs(file: Path, sample: Sample) -> Iterator[tuple[Member, Member]]:
    """Yield every image of a sample with the member that holds its label: for STEM.jpg STEM.cls, or else cls."""
    used = set()
    for suffix, image in sample.items():
        stem, _, kind = suffix.rpartition(".")
        if f".{kind}" not in layouts.IMAGES:
            continue
        label = next((name for name in (f"{stem}.cls", f"{stem}.json", "cls", "json") if name in sample), None)
        if label is None or label in used:
            problem = f"{sample[label].name:.50} is another image's" if label else "missing"
            raise InputError(file, problem, key=f"label of {image.name!r:.100}", allowed=f"{ALLOWED}, one an image")
        used.add(label)
        yield image, sample[label]


def _label(file: Path, image: Member, label: Member, view: mmap.mmap) -> int | str:
    content = view[label.start : label.start + min(label.size, LABEL_BYTES)]
    number = label.name.lower().endswith(".cls")
    value = content.decode(errors="replace").strip() if number else _from_json(content)
    if number and str(value).isdecimal() and len(str(value)) <= DIGITS:
        return int(str(value))
    if number or value is None:
        raise InputError(file, key=f"label of {image.name!r:.100}", value=value, allowed=ALLOWED)
    return value


def _from_json(content: bytes) -> int | str | None:
    try:
        sample = json.loads(content)
    except (ValueError, RecursionError):
        return None
    for name in columns.LABELS:
        label = sample.get(name) if isinstance(sample, dict) else None
        if isinstance(label, str) or (type(label) is int and abs(label) < 10**DIGITS):
            return label
    return None


def write(target: Path, faces: Faces) -> None:
    """Write 000000.tar and so on, without times or owners, so that equal faces give equal bytes."""
    rows = len(faces.identity)
    for number, start in enumerate(formats.progress(range(0, rows, ROWS_PER_FILE), "write tars")):
        with tarfile.open(target / f"{number:06d}.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
            for row in range(start, min(start + ROWS_PER_FILE, rows)):
                encoded = faces.encoded(row)
                _add(tar, f"{row:08d}{formats.suffix(encoded, faces.source(row))}", encoded)
                _add(tar, f"{row:08d}.cls", str(faces.identity[row]).encode())


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))
