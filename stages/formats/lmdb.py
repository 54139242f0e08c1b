"""LMDB with msgpack, as SOTA-FR and Vec2Face keep training sets: key `b"0"` and so on, value (image, label).

Vec2Face's values have a third member between the two, a face feature; it is passed over. `__keys__` lists the keys.
"""

from pathlib import Path

from stages import formats
from stages.formats import layouts


class Lmdb:
    """The faces of an LMDB file, or of a folder with data.mdb."""

    size = None

    def __init__(self, path: str | Path) -> None:
        """Read all labels, which takes going through the whole database once.

        Raises ValueError when a library is missing, the file is no LMDB, or a value is not what it should be.
        """
        self._lmdb, self._msgpack = formats.library("lmdb"), formats.library("msgpack")
        self.file = layouts.files(path, ".lmdb", ".mdb")[0]
        try:
            self._env = self._lmdb.open(str(self.file), subdir=False, readonly=True, lock=False, readahead=False)
        except self._lmdb.Error as error:
            raise ValueError(f"{self.file}: not a readable LMDB: {error}") from error
        if self.file.stat().st_size < (self._env.info()["last_pgno"] + 1) * self._env.stat()["psize"]:
            raise ValueError(f"{self.file}: truncated")  # a page beyond the end of the map would kill the process
        self._keys = self._listed()
        self.identity = formats.people([self._value(key)[1] for key in formats.progress(self._keys, "read labels")])

    def encoded(self, row: int) -> bytes:
        """Return the encoded image of a row."""
        return self._value(self._keys[row])[0]

    def source(self, row: int) -> str:
        """Return the file and the key of a row."""
        return f"{self.file}: key {self._keys[row].decode(errors='replace')}"

    def _listed(self) -> list[bytes]:
        with self._env.begin() as view:
            packed = view.get(b"__keys__")
            keys = self._msgpack.unpackb(packed, raw=True) if packed else [k for k, _ in view.cursor()]
        keys = [key for key in keys if not key.startswith(b"__")]
        if not keys:
            raise ValueError(f"{self.file}: no images; allowed: values (image, label)")
        return keys

    def _value(self, key: bytes) -> tuple[bytes, int]:
        with self._env.begin() as view:
            packed = view.get(key)
        try:
            value = self._msgpack.unpackb(packed, raw=True)
        except (ValueError, TypeError, self._msgpack.UnpackException):  # also where there is no such key
            value = None
        if isinstance(value, list) and len(value) in (2, 3):
            image, label = value[0], value[-1]
            if isinstance(image, bytes) and isinstance(label, int):
                return image, label
        raise ValueError(f"{self.file}: key {key.decode(errors='replace')}: allowed: msgpack of (image, label)")
