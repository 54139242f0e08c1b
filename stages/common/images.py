"""Image shards: Arrow IPC files of encoded faces with their provenance, memory-mapped for random access.

Every shard has the columns `image` (JPEG or PNG bytes), `identity`, `index`, `seed`, `partner`, `ratio` and `domain`:
the image shows `ratio` of `identity` and `1 - ratio` of `partner` (SynFace's identity mixup; ratio 1 otherwise).
"""

import ctypes
import mmap
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa

from stages.common import artifacts, tables
from stages.common.errors import InputError

JPEG_QUALITY = 95
ROWS_PER_SHARD = 512  # at most; a rank draws one shard at a time. At 112 px far below the 256 MB that a shard may have
FACE_PX = 1024  # largest side of a face in a shard
PICTURE_PX = 7000  # a user's picture has at most as many pixels as a square of this side, which takes below 500 MB
STRETCH = 1.5  # how many times that side one side of a picture may measure, since faces are resized to squares
JPEG_SEGMENTS = 1000  # at most, before the segment that states the size
JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # markers of segments that state the size
JPEG_BARE = frozenset((0x00, 0x01, *range(0xD0, 0xD8)))  # markers without a segment
JPEG_MARKER = re.compile(rb"\xff([^\xff])", re.DOTALL)
CHANNELS = {"rgb": 3, "grey": 1}  # of a network's input
FRAME_PX = 136  # what rendered faces show of ArcFace's template of 112 px; shards of other faces state their number
FRAME = "frame_px"  # the key of a shard's metadata that states it
SCHEMA = pa.schema(
    [
        ("image", pa.binary()),
        ("identity", pa.int32()),
        ("index", pa.int32()),
        ("seed", pa.int64()),
        ("partner", pa.int32()),
        ("ratio", pa.float32()),
        ("domain", pa.string()),
    ]
)

MADVISE = ctypes.CDLL(None).madvise
Image = bytes | memoryview  # encoded

cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # our own message names a broken image, once


def encode(face: np.ndarray) -> bytes:
    """Return an RGB face (h, w, 3) uint8 as JPEG bytes."""
    bgr = cv2.cvtColor(face, cv2.COLOR_RGB2BGR)
    success, buffer = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    assert success
    return buffer.tobytes()


def decode(image: Image, source: str = "image", side_px: int = PICTURE_PX) -> np.ndarray:
    """Return encoded bytes as an RGB face (h, w, 3) uint8.

    Raises ValueError naming `source` when they are broken, or their header states more than side_px x side_px pixels.
    """
    height, width = size(image, source)
    if not 0 < height * width <= side_px**2 or max(height, width) > STRETCH * side_px:
        most = f"as many as {side_px} x {side_px}, at most {int(STRETCH * side_px)} a side"
        raise InputError(source, f"{height} x {width} pixels", allowed=most)
    try:
        face = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        face = None
    if face is None:
        raise InputError(source, "not a readable image")
    return cv2.cvtColor(face, cv2.COLOR_BGR2RGB)


def size(image: Image, source: str) -> tuple[int, int]:
    """Return height and width from an encoded image's header; raises ValueError naming `source` where it has none."""
    begin = bytes(image[:16])  # no more is copied of an image that lies in a memory map
    for signature, size_in in HEADERS.items():
        if begin.startswith(signature):
            try:
                return size_in(image)
            except (struct.error, ValueError, IndexError) as error:
                raise InputError(source, "not a readable image, its header states no size") from error
    allowed = "JPEG, PNG, BMP, WebP, TIFF, PBM, PGM, PPM"
    raise InputError(source, f"not a readable image, starts with {begin[:4]!r}", allowed=allowed)


def _jpeg(image: Image) -> tuple[int, int]:
    at = 2
    for _ in range(JPEG_SEGMENTS):
        if not (mark := JPEG_MARKER.search(image, at)):
            raise ValueError("no frame")
        at, marker = mark.start(1), mark[1][0]
        if marker in JPEG_FRAMES:
            return struct.unpack_from(">HH", image, at + 4)
        at += 1 if marker in JPEG_BARE else 1 + struct.unpack_from(">H", image, at + 1)[0]
    raise ValueError("too many segments")


def _png(image: Image) -> tuple[int, int]:
    width, height = struct.unpack_from(">II", image, 16)
    return height, width


def _bmp(image: Image) -> tuple[int, int]:
    width, height = struct.unpack_from("<HH" if image[14] == 12 else "<ii", image, 18)
    return abs(height), width


def _webp(image: Image) -> tuple[int, int]:
    kind = image[8:16]
    if kind == b"WEBPVP8 ":
        width, height = struct.unpack_from("<HH", image, 26)
        return height & 0x3FFF, width & 0x3FFF
    if kind == b"WEBPVP8L":
        bits = struct.unpack_from("<I", image, 21)[0]
        return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    if kind == b"WEBPVP8X":
        width, height = (int.from_bytes(image[at : at + 3], "little") + 1 for at in (24, 27))
        return height, width
    raise ValueError("no frame")


def _tiff(image: Image) -> tuple[int, int]:
    order = "<" if image[:2] == b"II" else ">"
    at = struct.unpack_from(f"{order}I", image, 4)[0]
    sides = {256: 0, 257: 0}  # width and height; of a tag that comes twice, the larger value
    for entry in range(at + 2, at + 2 + 12 * struct.unpack_from(f"{order}H", image, at)[0], 12):
        tag, kind = struct.unpack_from(f"{order}HH", image, entry)
        if tag in sides:
            sides[tag] = max(sides[tag], *struct.unpack_from(f"{order}{'H' if kind == 3 else 'I'}", image, entry + 8))
    return sides[257], sides[256]


def _pnm(image: Image) -> tuple[int, int]:
    space = rb"(?:\s|#[^\r\n]*+[\r\n])++"
    if not (sides := re.match(rb"P[1-6]%b(\d{1,9})%b(\d{1,9})" % (space, space), image)):
        raise ValueError("no size")
    return int(sides[2]), int(sides[1])


HEADERS = {
    b"\xff\xd8\xff": _jpeg,
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR": _png,
    b"BM": _bmp,
    b"RIFF": _webp,
    b"II*\0": _tiff,
    b"MM\0*": _tiff,
    **{b"P%d" % i: _pnm for i in range(1, 7)},
}


def resize(faces: np.ndarray, size_px: int | tuple[int, int]) -> np.ndarray:
    """Return faces (b, h, w, 3) uint8 at one side or (height, width), by area averaging when they shrink."""
    height, width = (size_px, size_px) if isinstance(size_px, int) else size_px
    if faces.shape[1:3] == (height, width):
        return faces
    interpolation = cv2.INTER_AREA if faces.shape[1] > height else cv2.INTER_LINEAR
    return np.stack([cv2.resize(face, (width, height), interpolation=interpolation) for face in faces])


def grey(faces: np.ndarray) -> np.ndarray:
    """Return the luma (b, h, w, 1) uint8, by ITU-R BT.601, of faces (b, h, w, 3) uint8 RGB."""
    b, h, w, _ = faces.shape
    return cv2.cvtColor(faces.reshape(b * h, w, 3), cv2.COLOR_RGB2GRAY).reshape(b, h, w, 1)


def write_shard(
    file: str | Path,
    faces: Sequence[np.ndarray | bytes],
    *,
    identity: np.ndarray,
    index: np.ndarray,
    seed: np.ndarray,
    domain: str | list[str],
    partner: np.ndarray | None = None,
    ratio: np.ndarray | None = None,
    frame_px: int = FRAME_PX,
) -> None:
    """Write faces (b, h, w, 3) uint8 RGB, or encoded ones as they are, with their provenance (b,) as an Arrow file.

    frame_px: what the faces show of ArcFace's template of 112 px.
    """
    columns = {
        "image": [face if isinstance(face, bytes) else encode(face) for face in faces],
        "identity": identity,
        "index": index,
        "seed": seed,
        "partner": identity if partner is None else partner,
        "ratio": np.ones(len(faces), np.float32) if ratio is None else ratio,
        "domain": [domain] * len(faces) if isinstance(domain, str) else domain,
    }
    table = tables.of(SCHEMA, columns)
    tables.write(file, table if frame_px == FRAME_PX else table.replace_schema_metadata({FRAME: str(frame_px)}))


@dataclass(frozen=True)
class Shard:
    """A memory-mapped shard: its file, its columns, what its faces show of ArcFace's template of 112 px.

    map: the bytes of the file, in which the columns lie.
    """

    file: Path
    table: pa.Table
    frame_px: int
    map: pa.Buffer

    @classmethod
    def open(cls, file: Path) -> "Shard":
        """Map a shard; raises InputError when it is missing or truncated, lacks a column, or states no right frame."""
        whole = pa.memory_map(str(artifacts.existing(file))).read_buffer()
        table = tables.read(file, SCHEMA, content=whole)
        frame_px = (table.schema.metadata or {}).get(FRAME.encode(), b"%d" % FRAME_PX)
        if not re.fullmatch(rb"[1-9]\d{1,2}", frame_px):
            raise InputError(file, key=FRAME, value=frame_px, allowed="10 to 999")
        shard = cls(file, table, int(frame_px), whole)
        shard.release()
        return shard

    def __len__(self) -> int:
        """Return the number of images."""
        return self.table.num_rows

    def encoded(self, row: int) -> memoryview:
        """Return the encoded image of a row where it lies in the map."""
        return memoryview(self.table["image"][row].as_buffer()).cast("B")  # else no bytes equal it

    def face(self, row: int) -> np.ndarray:
        """Return the face (h, w, 3) uint8 RGB of a row; raises InputError naming it when it is broken or too large."""
        return decode(self.encoded(row), self.source(row), FACE_PX)

    def source(self, row: int) -> str:
        """Return the file and the row."""
        return f"{self.file}: row {row}"

    def release(self) -> None:
        """Take the pages that were read out of this process's memory; they stay in the system's cache.

        Else it would seem to need all of the shards, as far as it has seen them: what batch systems end it for.
        """
        MADVISE(ctypes.c_void_p(self.map.address), ctypes.c_size_t(self.map.size), mmap.MADV_DONTNEED)


class Shards:
    """The image shards of one folder; rows are numbered across the shards in the order of names.

    starts: the first row of each shard, and after the last one the number of images.
    Raises ValueError when the folder holds no shard, one is truncated or lacks a column, or two state other frames.
    """

    def __init__(self, folder: str | Path, pattern: str = "*.arrow") -> None:
        """Map the shards of `folder` whose names match `pattern`."""
        self.folder = Path(folder)
        self.files = sorted(self.folder.glob(pattern))
        if not self.files:
            raise InputError(folder, f"no image shards ({pattern}); `dvc repro` makes them")
        self.shards = [Shard.open(file) for file in self.files]
        self.starts = np.cumsum([0, *self.sizes()])
        stated = sorted({shard.frame_px for shard in self.shards})
        if len(stated) > 1:
            raise InputError(self.folder, key=FRAME, value=stated, allowed="one number, the same in all shards")
        self.frame_px = stated[0]

    def __len__(self) -> int:
        """Return the number of images."""
        return int(self.starts[-1])

    def sizes(self) -> list[int]:
        """Return the number of images in each of `files`."""
        return [len(shard) for shard in self.shards]

    def column(self, name: str) -> np.ndarray:
        """Return a column other than `image` as an array (rows,)."""
        values = np.concatenate([shard.table[name].to_numpy() for shard in self.shards])
        self.release()
        return values

    def release(self) -> None:
        """Take the pages of all shards out of this process's memory."""
        for shard in self.shards:
            shard.release()

    def encoded(self, row: int) -> memoryview:
        """Return the encoded image of a row where it lies in its shard's map."""
        shard, within = self._place(row)
        return shard.encoded(within)

    def source(self, row: int) -> str:
        """Return the shard and the row within it."""
        shard, within = self._place(row)
        return shard.source(within)

    def faces(self, rows: Sequence[int] | np.ndarray | None = None) -> np.ndarray:
        """Return the faces of `rows` (all when None) as uint8 (b, h, w, 3) RGB.

        Raises ValueError naming the shard and the row when an image is broken, too large, or not as large as the first.
        """
        rows = np.arange(len(self)) if rows is None else np.asarray(rows)
        numbers, faces = self._numbers(rows), []
        for number, row in zip(numbers.tolist(), (rows - self.starts[numbers]).tolist(), strict=True):
            shard = self.shards[number]
            faces.append(shard.face(row))
            if faces[-1].shape != faces[0].shape:
                (height, width, _), first = faces[-1].shape, faces[0].shape
                allowed = f"{first[0]} x {first[1]}, as the first"
                raise InputError(shard.source(row), f"{height} x {width} pixels", allowed=allowed)
        for number in np.unique(numbers):
            self.shards[number].release()
        return np.stack(faces)

    def _place(self, row: int) -> tuple[Shard, int]:
        number = int(self._numbers(row))
        return self.shards[number], row - int(self.starts[number])

    def _numbers(self, rows: np.ndarray | int) -> np.ndarray:
        """Return which of `shards` holds each row."""
        return np.searchsorted(self.starts, rows, "right") - 1
