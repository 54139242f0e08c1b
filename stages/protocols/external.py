"""The user's own benchmarks, in any format that can be read."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stages.common import images
from stages.common.shards import Provenance, image_seeds
from stages.foreign import photographs
from stages.foreign.alignment import Aligner
from stages.formats import bin, cvlface, layouts, memfile, npy, pair_lists
from stages.formats.benchmark_pairs import Benchmark
from stages.settings.benchmarks import Crop

ROOT = Path("data/external/benchmarks")
DOMAIN = "external"
READERS: dict[str, Callable[[Path], Benchmark]] = {
    "pairs": pair_lists.read,
    "bin": bin.read,
    "npy": npy.read,
    "memfile": memfile.read,
    "arrow": cvlface.read,
    "parquet": cvlface.read,
}


@dataclass(frozen=True)
class Rows:
    """The rows of the benchmark `name`, whose seeds are made for a slice of them at a time."""

    name: str
    benchmark: Benchmark
    frame_px: int

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.benchmark.identity)

    def __getitem__(self, part: slice) -> Provenance:
        """Return where the images of a slice come from."""
        identity, index = self.benchmark.identity[part], self.benchmark.index[part]
        return Provenance(DOMAIN, identity, index, image_seeds(self.name, 0, identity, index), frame_px=self.frame_px)


def benchmarks() -> dict[str, Path]:
    """Return the benchmarks under data/external/benchmarks by name; raises InputError when two share a name."""
    return layouts.benchmarks(ROOT)


def read(path: Path) -> Benchmark:
    """Return the benchmark at `path`; raises InputError when it is broken or in no format that can be read."""
    return READERS[layouts.benchmark(path)](path)


def faces(benchmark: Benchmark, rows: slice, crop: Crop | None, frame_px: int, size_px: int) -> list[bytes]:
    """Return the encoded faces of a slice of rows at size_px; an image whose pixels stay keeps its bytes."""

    def square(photograph: np.ndarray) -> np.ndarray:
        return cut(photograph, crop, frame_px)

    numbers = range(*rows.indices(len(benchmark.identity)))
    return [photographs.square_bytes(benchmark.encoded(i), benchmark.source(i), square, size_px) for i in numbers]


def aligned(benchmark: Benchmark, rows: slice, aligner: Aligner) -> tuple[list[bytes], list[str]]:
    """Return the encoded faces of a slice of rows of full-size pictures, and each one's domain."""
    numbers = range(*rows.indices(len(benchmark.identity)))
    return aligner.encoded((images.decode(benchmark.encoded(i), benchmark.source(i)) for i in numbers), DOMAIN)


def cut(photograph: np.ndarray, crop: Crop | None, frame_px: int) -> np.ndarray:
    """Return a square of a photograph (h, w, 3): the crop, or, where it is None, the frame about an aligned face."""
    if crop is None:
        return photographs.framed(photograph, frame_px)
    return photographs.square(photograph, crop.side_px, crop.x_px, crop.y_px)
