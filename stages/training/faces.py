"""The faces of samples while they lie encoded in their shards."""

from dataclasses import dataclass

import numpy as np

from stages.common import images
from stages.common.frames import Frame
from stages.common.images import Shard


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

    def by_shard(self) -> list[np.ndarray]:
        """Return the samples that each shard holds."""
        order = np.argsort(self.shard, kind="stable")
        return np.split(order, np.searchsorted(self.shard[order], range(1, len(self.shards))))

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
        shard = self.shards[self.shard[i]]
        face = self.frame.of(shard.face(int(self.row[i]))[None], shard.frame_px)
        return (images.grey(face) if self.colour == "grey" else face)[0]

    def check_header(self, i: int) -> None:
        """Raise InputError when the header of sample i is not an image's: what most broken ones lack."""
        shard, row = self.shards[self.shard[i]], int(self.row[i])
        images.size(shard.encoded(row), shard.source(row))
