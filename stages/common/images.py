"""Image shards: Arrow IPC files of encoded faces with their provenance, memory-mapped for random access.

Every shard has the columns `image` (JPEG or PNG bytes), `identity`, `index`, `seed`, `partner`, `ratio` and `domain`:
the image shows `ratio` of `identity` and `1 - ratio` of `partner` (SynFace's identity mixup; ratio 1 otherwise).
"""

import re
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa

from stages.common import tables

JPEG_QUALITY = 95
ROWS_PER_SHARD = 512  # at most: the unit of work of a rank; at 112 px far below the 256 MB that a shard may have
CHANNELS = {"rgb": 3, "grey": 1}  # of what a network sees
FRAME_PX = 136  # what rendered faces show of ArcFace's template of 112 px; shards of other faces say how much
FRAME = "frame_px"  # the key of a shard's metadata that says so
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


def encode(face: np.ndarray) -> bytes:
    """Return an RGB face (h, w, 3) uint8 as JPEG bytes."""
    bgr = cv2.cvtColor(face, cv2.COLOR_RGB2BGR)
    done, buffer = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    assert done
    return buffer.tobytes()


def decode(image: bytes, source: str = "image") -> np.ndarray:
    """Return encoded bytes as an RGB face (h, w, 3) uint8; raises ValueError naming `source` when they are broken."""
    face = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR) if image else None
    if face is None:
        raise ValueError(f"{source}: not a readable image")
    return cv2.cvtColor(face, cv2.COLOR_BGR2RGB)


def resize(faces: np.ndarray, size_px: int | tuple[int, int]) -> np.ndarray:
    """Return faces (b, h, w, 3) uint8 at one side or (height, width), by area averaging when they shrink."""
    height, width = (size_px, size_px) if isinstance(size_px, int) else size_px
    if faces.shape[1:3] == (height, width):
        return faces
    how = cv2.INTER_AREA if faces.shape[1] > height else cv2.INTER_LINEAR
    return np.stack([cv2.resize(face, (width, height), interpolation=how) for face in faces])


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


class Shards:
    """The image shards of one folder, read as one table; rows are numbered across the shards in the order of names.

    Raises ValueError when the folder holds no shard or one is truncated or lacks a column.
    """

    def __init__(self, folder: str | Path, pattern: str = "*.arrow") -> None:
        """Map the shards of `folder` whose names match `pattern`."""
        self.folder = Path(folder)
        self.files = sorted(self.folder.glob(pattern))
        if not self.files:
            raise ValueError(f"{folder}: no image shards ({pattern}); `dvc repro` makes them")
        self._tables = [tables.read(file, SCHEMA) for file in self.files]
        self.frame_px = self._frame_px()
        self.table = pa.concat_tables(self._tables)

    def _frame_px(self) -> int:
        said = sorted({(t.schema.metadata or {}).get(FRAME.encode(), b"%d" % FRAME_PX) for t in self._tables})
        if len(said) > 1 or not re.fullmatch(rb"[1-9]\d{1,2}", said[0]):
            raise ValueError(f"{self.folder}: {FRAME} = {said[0][:20]!r}; allowed: one number, the same in all shards")
        return int(said[0])

    def __len__(self) -> int:
        """Return the number of images."""
        return self.table.num_rows

    def sizes(self) -> list[int]:
        """Return the number of images in each of `files`."""
        return [table.num_rows for table in self._tables]

    def column(self, name: str) -> np.ndarray:
        """Return a column other than `image` as an array (rows,)."""
        return self.table[name].to_numpy()

    def faces(self, rows: Sequence[int] | np.ndarray | None = None) -> np.ndarray:
        """Return the faces of `rows` (all when None) as uint8 (b, h, w, 3) RGB."""
        picked = self.table["image"] if rows is None else self.table["image"].take(pa.array(rows))
        return np.stack([decode(image.as_py(), str(self.folder)) for image in picked])
