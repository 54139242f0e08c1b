"""The faces of samples while they lie encoded in their shards."""

import ctypes
import mmap
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from stages.common import images
from stages.common.frames import Frame

MADVISE = ctypes.CDLL(None).madvise


@dataclass(frozen=True)
class Shard:
    """A memory-mapped shard: its file, its encoded images, and what they show of ArcFace's template of 112 px.

    map: the bytes of the file, among them the images.
    """

    file: Path
    images: pa.ChunkedArray
    frame_px: int
    map: pa.Buffer

    @classmethod
    def open(cls, file: Path) -> "Shard":
        """Map a shard; raises InputError when it is truncated or lacks a column."""
        frame_px = images.Shards(file.parent, file.name).frame_px
        whole = pa.memory_map(str(file)).read_buffer()
        return cls(file, pa.ipc.open_file(whole).read_all()["image"], frame_px, whole)

    def release(self) -> None:
        """Take the pages that were read out of this process's memory; they stay in the system's cache.

        Else it would seem to need all of the shards, as far as it has seen them: what batch systems end it for.
        """
        MADVISE(ctypes.c_void_p(self.map.address), ctypes.c_size_t(self.map.size), mmap.MADV_DONTNEED)


@dataclass(frozen=True)
class Streamed:
    """Faces (n, s, s, c) uint8, RGB or grey, decoded from memory-mapped shards when they are indexed.

    Sample i is image row[i] of shards[shard[i]], brought to `frame`.
    """

    shards: list[Shard]
    shard: np.ndarray
    row: np.ndarray
    frame: Frame
    colour: str

    def __len__(self) -> int:
        """Return the number of faces."""
        return len(self.row)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Return (n, s, s, c)."""
        return len(self), self.frame.height, self.frame.width, images.CHANNELS[self.colour]

    def __getitem__(self, samples: np.ndarray) -> np.ndarray:
        """Return the faces (b, s, s, c) of samples (b,); raises InputError as `face`."""
        faces = np.empty((len(samples), *self.shape[1:]), np.uint8)
        for face, i in zip(faces, samples.tolist(), strict=True):
            face[:] = self.face(i)
        for number in np.unique(self.shard[samples]):
            self.shards[number].release()
        return faces

    def face(self, i: int) -> np.ndarray:
        """Return the face (s, s, c) of sample i; raises InputError naming file and row when it is not readable."""
        face = images.decode(self._encoded(i), self._source(i))
        face = self.frame.of(face[None], self.shards[self.shard[i]].frame_px)
        return (images.grey(face) if self.colour == "grey" else face)[0]

    def check_header(self, i: int) -> None:
        """Raise InputError when the header of sample i is not an image's: what most broken ones lack."""
        images.size(self._encoded(i), self._source(i))

    def _encoded(self, i: int) -> bytes:
        return self.shards[self.shard[i]].images[int(self.row[i])].as_py()

    def _source(self, i: int) -> str:
        return f"{self.shards[self.shard[i]].file}: row {self.row[i]}"
