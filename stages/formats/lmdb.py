"""LMDB with msgpack, as SOTA-FR and Vec2Face keep training sets: key `b"0"` and so on, value (image, label).

Vec2Face's values have a third member between the two, a face feature; it is skipped. `__keys__` lists the keys,
`__len__` and `__classnum__` count images and people.
"""

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stages import formats
from stages.common import artifacts
from stages.common.errors import InputError
from stages.formats import Faces, layouts

EXACT = 1 << 63  # labels are below
ROWS_PER_COMMIT = 1000
PART = 1 << 14  # keys that are Python's own at a time
PAGES = 1 << 14  # bytes that a value may take beside its own


class Lmdb:
    """The faces of an LMDB file, or of a folder with data.mdb."""

    size, skipped = None, 0

    def __init__(self, path: str | Path) -> None:
        """Read all labels, which takes going through the whole database once.

        Raises InputError when a library is missing, the file is no LMDB, or a value is no image with a label.
        """
        self._lmdb, self._msgpack = formats.library("lmdb"), formats.library("msgpack")
        self.file = layouts.one_file(path, ".lmdb", ".mdb")
        with self._readable():
            self._env = self._lmdb.open(str(self.file), subdir=False, readonly=True, lock=False, readahead=False)
            last, page = self._env.info()["last_pgno"], self._env.stat()["psize"]
        if self.file.stat().st_size < (last + 1) * page:
            raise InputError(self.file, "truncated")  # a page beyond the end of the map would kill the process
        self._keys = self._image_keys()
        rows = formats.progress(range(len(self._keys)), "read labels")
        self.identity = formats.people(np.fromiter((self._value(self._key(row))[1] for row in rows), np.int64))

    def encoded(self, row: int) -> bytes:
        """Return the encoded image of a row."""
        return self._value(self._key(row))[0]

    def source(self, row: int) -> str:
        """Return the file and the key of a row."""
        return f"{self.file}: key {artifacts.brief(self._key(row).decode(errors='replace'))}"

    def _key(self, row: int) -> bytes:
        return self._keys[row].as_py()

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except self._lmdb.Error as error:
            raise InputError(self.file, f"not a readable LMDB: {error}") from error

    def _image_keys(self) -> pa.BinaryArray:
        with self._readable(), self._env.begin() as view:
            packed = view.get(b"__keys__")
            keys = _held(view.cursor().iternext(values=False)) if packed is None else self._unpacked_keys(packed)
        if keys is None or keys.null_count or _repeats(keys):
            raise InputError(self.file, key="__keys__", allowed="msgpack of a list of keys, each once")
        is_about = pc.call_function("starts_with", [keys], pc.MatchSubstringOptions("__"))
        keys = keys.filter(pc.call_function("invert", [is_about]))
        if not len(keys):
            raise InputError(self.file, "no images", allowed="values (image, label)")
        return keys

    def _unpacked_keys(self, packed: bytes) -> pa.BinaryArray | None:
        """Return the keys of a packed list, None for anything else; a list within it is refused unread."""
        outer, members = (self._unpacker(packed, max_length) for max_length in (len(packed), 0))
        try:
            count = outer.read_array_header()
            members.feed(packed[outer.tell() :])
            keys = _held(members)
        except (ValueError, TypeError, self._msgpack.UnpackException):
            return None
        return keys if len(keys) == count else None

    def _unpacker(self, packed: bytes, max_length: int) -> Any:
        unpacker = self._msgpack.Unpacker(
            raw=True, max_buffer_size=len(packed), max_array_len=max_length, max_map_len=0
        )
        if max_length:
            unpacker.feed(packed)
        return unpacker

    def _value(self, key: bytes) -> tuple[bytes, int]:
        with self._readable(), self._env.begin() as view:
            packed = view.get(key) or b""
        try:
            value = self._msgpack.unpackb(packed, raw=True, max_array_len=3, max_map_len=0)
        except (ValueError, self._msgpack.UnpackException):
            value = None
        if isinstance(value, list) and len(value) in (2, 3):
            image, label = value[0], value[-1]
            if isinstance(image, bytes) and type(label) is int and abs(label) < EXACT:
                return image, label
        raise InputError(self.file, key=f"key {key.decode(errors='replace'):.50}", allowed="msgpack of (image, label)")


def _held(keys: Iterable[Any]) -> pa.BinaryArray:
    """Return keys as an array, a few of them Python's own at a time; raises TypeError where one is not of bytes."""
    keys, parts = iter(keys), [pa.array([], pa.binary())]
    while part := list(islice(keys, PART)):
        parts.append(pa.array(part, pa.binary()))
    return pa.concat_arrays(parts)


def _repeats(keys: pa.BinaryArray) -> bool:
    """Return whether a key comes twice."""
    ordered = keys.sort()
    return pc.call_function("equal", [ordered[1:], ordered[:-1]]).true_count > 0


def write(folder: Path, faces: Faces) -> None:
    """Write train.lmdb as SOTA-FR reads it, by the path of the file.

    Raises InputError when a library is missing.
    """
    lmdb, msgpack = formats.library("lmdb"), formats.library("msgpack")
    rows = len(faces.identity)
    packer, keys = msgpack.Packer(), bytearray(msgpack.Packer().pack_array_header(rows))
    file = folder / "train.lmdb"
    with lmdb.open(str(file), subdir=False, map_size=PAGES, lock=False) as env:
        for start in formats.progress(range(0, rows, ROWS_PER_COMMIT), "write train.lmdb"):
            part = range(start, min(start + ROWS_PER_COMMIT, rows))
            packed = [msgpack.packb((faces.encoded(row), int(faces.identity[row]))) for row in part]
            _grow(env, packed)
            with env.begin(write=True) as view:
                for row, value in zip(part, packed, strict=True):
                    view.put(str(row).encode(), value)
                    keys += packer.pack(str(row).encode())
        totals = {b"__len__": rows, b"__classnum__": int(faces.identity.max()) + 1}
        packed = {b"__keys__": bytes(keys), **{key: msgpack.packb(value) for key, value in totals.items()}}
        _grow(env, packed.values())
        with env.begin(write=True) as view:
            for key, value in packed.items():
                view.put(key, value)


def _grow(env: Any, values: Collection[bytes]) -> None:
    """Let a database grow by these values, each of which may lie on pages of its own."""
    env.set_mapsize(env.info()["map_size"] + sum(map(len, values)) + PAGES * len(values))
