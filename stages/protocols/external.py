"""The user's own benchmarks, in any format that can be read."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stages.common import images
from stages.common.errors import InputError
from stages.common.shards import Provenance, image_seeds
from stages.foreign import alignment, photographs
from stages.foreign.alignment import Aligner
from stages.formats import bin, cvlface, ijb, layouts, memfile, npy, pair_lists, rfw, tinyface
from stages.formats.benchmark_pairs import Benchmark
from stages.formats.template_sets import TemplateSet
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
    "rfw": rfw.read,
}
TEMPLATES: dict[str, Callable[[Path], TemplateSet]] = {"ijb": ijb.read, "tinyface": tinyface.read}


@dataclass(frozen=True)
class Rows:
    """The rows of the benchmark `name`, whose seeds are made for a slice of them at a time."""

    name: str
    benchmark: Benchmark | TemplateSet
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
    """Return the pairs at `path`; raises InputError when they are broken or in no format that can be read."""
    return READERS[layouts.benchmark(path)](path)


def read_any(path: Path) -> Benchmark | TemplateSet:
    """Return the pairs or templates at `path`; raises InputError as `read` does."""
    kind = layouts.benchmark(path)
    return TEMPLATES[kind](path) if kind in TEMPLATES else read(path)


def faces(
    benchmark: Benchmark | TemplateSet, rows: slice, crop: Crop | None, frame_px: int, size_px: int
) -> list[bytes]:
    """Return the encoded faces of a slice of rows at size_px; an image whose pixels stay keeps its bytes."""

    def square(photograph: np.ndarray) -> np.ndarray:
        return cut(photograph, crop, frame_px)

    numbers = range(*rows.indices(len(benchmark.identity)))
    return [photographs.square_bytes(benchmark.encoded(i), benchmark.source(i), square, size_px) for i in numbers]


def by_landmarks(benchmark: TemplateSet, rows: slice, frame_px: int, size_px: int) -> list[bytes]:
    """Return the encoded faces of a slice of rows, aligned by the landmarks that the benchmark lists."""
    assert benchmark.landmarks is not None
    target, encoded = alignment.template(size_px, frame_px), []
    for i in range(*rows.indices(len(benchmark.files))):
        picture = images.decode(benchmark.encoded(i), benchmark.source(i))
        try:
            matrix = alignment.similarity(benchmark.landmarks[i], target)
        except InputError as error:
            raise InputError(benchmark.source(i), error.problem, key=error.key, allowed=error.allowed) from error
        encoded.append(photographs.lossless(alignment.warp(picture, matrix, size_px)))
    return encoded


def aligned(benchmark: Benchmark | TemplateSet, rows: slice, aligner: Aligner) -> tuple[list[bytes], list[str]]:
    """Return the encoded faces of a slice of rows of full-size pictures, and each one's domain."""
    numbers = range(*rows.indices(len(benchmark.identity)))
    return aligner.encoded((images.decode(benchmark.encoded(i), benchmark.source(i)) for i in numbers), DOMAIN)


def cut(photograph: np.ndarray, crop: Crop | None, frame_px: int) -> np.ndarray:
    """Return a square of a photograph (h, w, 3): the crop, or, where it is None, the frame about an aligned face."""
    if crop is None:
        return photographs.framed(photograph, frame_px)
    return photographs.square(photograph, crop.side_px, crop.x_px, crop.y_px)
