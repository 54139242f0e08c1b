"""AdaFace's benchmarks: NAME/memfile/mem_file.dat with mem_file.dat.conf, and NAME_list.npy beside or in NAME.

The pixels are float32 (2p, 3, h, w), already (x / 255 - 0.5) / 0.5, and BGR (AdaFace's convert.py).
"""

import math
from pathlib import Path

import numpy as np

from stages.common import artifacts
from stages.foreign import photographs
from stages.formats import benchmark_pairs
from stages.formats.benchmark_pairs import Benchmark


def read(folder: Path) -> Benchmark:
    """Return the benchmark; raises ValueError when a file is missing, broken or of another shape."""
    file = folder / "memfile" / "mem_file.dat"
    card = artifacts.read_json(file.with_name("mem_file.dat.conf"))
    card = card if isinstance(card, dict) else {}
    shape, dtype = card.get("shape"), card.get("dtype")
    sizes = shape if isinstance(shape, list) and all(type(n) is int and n > 0 for n in shape) else []
    if len(sizes) != 4 or sizes[1] != 3 or dtype != "float32":
        said = artifacts.brief(f"dtype {dtype}, shape {shape}")
        raise ValueError(f"{file}.conf: {said}; allowed: dtype float32, shape (images, 3, height, width)")
    if not file.is_file() or file.stat().st_size != 4 * math.prod(sizes):
        raise ValueError(
            f"{file}: missing, or not of the size that its .conf says, {artifacts.brief(f'float32 {sizes}')}"
        )
    pixels = np.memmap(file, np.float32, "r", shape=tuple(sizes))
    lists = [parent / f"{folder.name}_list.npy" for parent in (folder, folder.parent)]
    list_file = next((file for file in lists if file.is_file()), lists[0])
    same = benchmark_pairs.labels(list_file, artifacts.read_array(list_file))

    def encoded(row: int) -> bytes:
        with np.errstate(over="ignore"):
            grey = np.rint((pixels[row].transpose(1, 2, 0) * 0.5 + 0.5) * 255)[..., ::-1]
        if not ((grey >= 0) & (grey <= 255)).all():
            raise ValueError(f"{file}: image {row}: values outside -1 to 1")
        return photographs.lossless(np.ascontiguousarray(grey.astype(np.uint8)))

    return benchmark_pairs.by_content(
        file, len(pixels), encoded, lambda row: f"{file}: image {row}", same, lambda row: pixels[row].tobytes()
    )
