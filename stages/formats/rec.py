"""insightface's training sets: train.rec, train.idx and property, read and written without MXNet.

A payload is `flag u32 | label f32 | id u64 | id2 u64`, then `flag` labels f32, then the encoded image (MXNet's
image_recordio). Record 0 has two labels, [images + 1, images + 1 + people]; the images are keys 1 to images, and from
there on one record per person has the labels [first key, last key + 1] and no image. Sets written by im2rec or CVLface
lack record 0 and those of the people. Labels beyond 2^24 are not exact in f32, so records are told apart by whether
they hold an image, not by what record 0 says.
"""

import itertools
import re
import struct
import warnings
from pathlib import Path

import numpy as np

from stages import formats
from stages.common import images
from stages.common.errors import InputError
from stages.formats import Faces, layouts, recordio

HEADER = struct.Struct("<IfQQ")
HEAD = 8 + HEADER.size + 4  # bytes of a record up to the first of several labels
EXACT = 1 << 24  # whole numbers beyond are not exact in float32
CHUNK = 8192  # records whose heads are read together


class Rec:
    """The faces of a .rec file, by its index or, without one, by going through it once."""

    skipped = 0

    def __init__(self, path: str | Path) -> None:
        """Read keys and labels of the .rec file at `path` or in it.

        Raises InputError when the file is truncated, disagrees with its index or record 0, or a label is no number of a
        person.
        """
        self.file = layouts.one_file(path, ".rec")
        self._records = recordio.Records(self.file)
        keys, offsets = self._index()
        label_count, label, length = self._heads(offsets)
        faces = length > HEADER.size + 4 * label_count
        self._check_count(keys, label_count, label, faces)
        self._key, self._offset = keys[faces], offsets[faces]
        label = label[faces]
        if not len(label):
            raise InputError(self.file, "no images", allowed="one or more")
        wrong = label[~(np.isfinite(label) & (label >= 0) & (label == np.floor(label)))]
        if len(wrong):
            raise InputError(self.file, key="label", value=float(wrong[0]), allowed="a whole number from 0 on")
        self.identity = formats.people(label)
        self.size = self._declared()

    def encoded(self, row: int) -> bytes:
        """Return the encoded image of a row."""
        payload = self._records.read(int(self._offset[row]))
        (label_count,) = struct.unpack_from("<I", payload)
        return payload[HEADER.size + 4 * label_count :]

    def source(self, row: int) -> str:
        """Return the file and the key of a row."""
        return f"{self.file}: record {self._key[row]}"

    def _index(self) -> tuple[np.ndarray, np.ndarray]:
        file = self.file.with_suffix(".idx")
        if not file.is_file():
            offsets = np.fromiter(self._records.offsets(), np.int64)
            return np.arange(len(offsets)), offsets
        try:
            with warnings.catch_warnings(action="error"):  # of an empty file
                keys, offsets = np.loadtxt(file, np.int64, comments=None, ndmin=2).T
        except (ValueError, UserWarning) as error:
            raise InputError(file, f"{error!s:.100}", allowed="a key and a byte in each line") from error
        if len(np.unique(offsets)) < len(offsets):
            raise InputError(file, "two keys of one record", allowed="one key for each record")
        return keys, offsets

    def _heads(self, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return of each record: how many labels follow its header, the (first) label, the length of the payload."""
        data = np.frombuffer(self._records.bytes, np.uint8)
        outside = (offsets < 0) | (offsets > len(data) - 8 - HEADER.size)
        if outside.any():
            offset = int(offsets[outside.argmax()])
            size = len(self._records.read(offset))
            raise InputError(self.file, f"{size} bytes", key=f"byte {offset}", allowed=f"a header of {HEADER.size}")
        starts = range(0, len(offsets), CHUNK)
        parts = zip(*(self._heads_at(data, offsets[start : start + CHUNK]) for start in starts), strict=True)
        label_count, label, word = (np.concatenate(column) for column in parts)
        return label_count, label, self._lengths(offsets, word)

    def _heads_at(self, data: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return of some records: how many labels follow the header, the (first) label, the word of flag and length."""
        at = offsets[:, None] + np.arange(HEAD)
        words = data[np.minimum(at, len(data) - 1)].view("<u4")  # magic, flag and length, label count, label, id, ...
        floats = words.view("<f4")
        no_record = np.flatnonzero((words[:, 0] != np.frombuffer(recordio.MAGIC, "<u4")) | (words[:, 1] >> 29 > 1))
        if len(no_record):
            raise InputError(self.file, recordio.NO_RECORD, key=f"byte {offsets[no_record[0]]}")
        label_count = words[:, 2].astype(np.int64)
        return label_count, np.where(label_count > 0, floats[:, 8], floats[:, 3]), words[:, 1].copy()

    def _lengths(self, offsets: np.ndarray, word: np.ndarray) -> np.ndarray:
        length = (word % recordio.LIMIT).astype(np.int64)
        beyond = np.flatnonzero(offsets + 8 + length > len(self._records.bytes))
        if len(beyond):
            raise InputError(self.file, recordio.TRUNCATED, key=f"byte {offsets[beyond[0]]}")
        for i in np.flatnonzero(word >> 29):  # split: rare, and the first part may end before the image begins
            length[i] = len(self._records.read(int(offsets[i])))
        return length

    def _check_count(self, keys: np.ndarray, label_count: np.ndarray, label: np.ndarray, faces: np.ndarray) -> None:
        first = np.flatnonzero((keys == 0) & (label_count == 2) & ~faces)
        if len(first) and 0 < label[first[0]] < EXACT and label[first[0]] != faces.sum() + 1:
            allowed = f"{int(label[first[0]]) - 1}, as record 0 says; is the file or its index truncated?"
            raise InputError(self.file, key="images", value=int(faces.sum()), allowed=allowed)

    def _declared(self) -> tuple[int, int] | None:
        file = self.file.with_name("property")
        if not file.is_file():
            return None
        line = file.read_text(errors="replace").partition("\n")[0]
        if not re.fullmatch(r"\s*\d+\s*,\s*\d{1,5}\s*,\s*\d{1,5}\s*", line, re.ASCII):
            raise InputError(file, key="line 1", value=line, allowed="people,height,width")
        _, height, width = line.split(",")
        return int(height), int(width)


def write(folder: Path, faces: Faces) -> None:
    """Write train.rec, train.idx and property as insightface lays them out, people one after the other.

    Raises InputError when the faces differ in size.
    """
    order = np.argsort(faces.identity, kind="stable")
    first = np.searchsorted(faces.identity[order], np.arange(int(faces.identity.max()) + 2)) + 1  # key of each person
    n, people = len(order), len(first) - 1
    size = images.size(faces.encoded(int(order[0])), faces.source(int(order[0])))
    with (folder / "train.rec").open("wb") as stream, (folder / "train.idx").open("w") as index:
        keys = itertools.count()

        def record(label: float, labels: list[int], encoded: bytes) -> None:
            key = next(keys)
            index.write(f"{key}\t{stream.tell()}\n")
            head = HEADER.pack(len(labels), label, key, 0)
            recordio.write(stream, head + struct.pack(f"<{len(labels)}f", *labels) + encoded)

        record(0, [n + 1, n + 1 + people], b"")
        for row in formats.progress(order, "write train.rec"):
            encoded, source = faces.encoded(int(row)), faces.source(int(row))
            shape = images.size(encoded, source)
            if shape != size:
                pixels = f"{shape[0]} x {shape[1]} pixels"
                raise InputError(source, pixels, allowed=f"{size[0]} x {size[1]}, as the first")
            record(float(faces.identity[row]), [], encoded)
        for i in range(people):
            record(0, [int(first[i]), int(first[i + 1])], b"")
    (folder / "property").write_text(f"{people},{size[0]},{size[1]}\n")
