"""Embed many images, a shard at a time, all ranks together.

A rank decodes the next images while its networks run on the last ones. The rows of each network and shard lie in a file
of their own, so that no process holds all of them, and a run that was killed goes on behind the last whole shard. A row
depends on its image alone: the files are the same on whichever ranks, and with whichever images around it.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path

import numpy as np

from stages.common import artifacts, ranks
from stages.common.images import Shards
from stages.common.networks import Recogniser

PART = 128  # images that a network gets at a time; a multiple of every recogniser's chunk
AHEAD = 2  # parts that are decoded while a network runs on another, each by a thread


@dataclass(frozen=True)
class Pictures:
    """Images that are decoded or drawn when they are needed.

    faces: uint8 (b, h, w, 3) RGB of a slice of them. shards: the slices of which a rank takes one at a time.
    frame_px: what the faces show of ArcFace's template of 112 px.
    """

    faces: Callable[[slice], np.ndarray]
    shards: Sequence[slice]
    frame_px: int


def stored(shards: Shards) -> Pictures:
    """Return the images of shards."""
    slices = [slice(start, stop) for start, stop in pairwise(shards.starts.tolist()) if start < stop]
    return Pictures(lambda part: shards.faces(np.arange(part.start, part.stop)), slices, shards.frame_px)


def embed(networks: Mapping[str, Recogniser], pictures: Pictures, folder: Path, label: str) -> dict[str, list[Path]]:
    """Return for each network the files of its rows (b, d) float32, not normalised, of each shard of the pictures.

    All ranks call this, and share the shards. The files lie in `folder`, that of `ranks.kept`. Hidden names, which
    begin with `label`, keep them out of the stage's output. Those that a killed run has finished are kept.
    """
    count = range(len(pictures.shards))
    files = {name: [folder / f".{label}-{name}-{i:05d}.npy" for i in count] for name in networks}
    *_, last = files.values()  # written last, they say that a shard is done
    numbers = {file: i for i, file in enumerate(last)}

    def work(file: Path) -> None:
        number = numbers[file]
        parts = [
            [network.embed(faces, pictures.frame_px) for network in networks.values()]
            for faces in _ahead(pictures.faces, pictures.shards[number])
        ]
        for own, rows in zip(files.values(), zip(*parts, strict=True), strict=True):
            artifacts.write_array(own[number], np.concatenate(rows))

    sizes = {file: part.stop - part.start for file, part in zip(last, pictures.shards, strict=True)}
    ranks.make(sizes, work, f"embed {label}", "img")
    return files


def whole(files: Sequence[Path], file: Path, change: Callable[[np.ndarray], np.ndarray] = np.asarray) -> np.ndarray:
    """Return the rows (n, d) of all files one below the other, as `change` returns them, memory-mapped.

    All ranks call this; rank 0 writes them into `file`.
    """
    if ranks.rank() == 0 and not file.exists():
        artifacts.join_arrays(file, files, change)
    ranks.barrier()
    return np.asarray(artifacts.map_array(file))


def _ahead(faces: Callable[[slice], np.ndarray], shard: slice) -> Iterator[np.ndarray]:
    """Yield the faces of each part of a shard; threads decode the next ones meanwhile."""
    starts = range(shard.start, shard.stop, PART)
    parts = (slice(start, min(start + PART, shard.stop)) for start in starts)
    with ThreadPoolExecutor(AHEAD) as threads:
        coming = deque(threads.submit(faces, part) for part in islice(parts, AHEAD))
        while coming:
            ready = coming.popleft().result()
            coming.extend(threads.submit(faces, part) for part in islice(parts, 1))
            yield ready
