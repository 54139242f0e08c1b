"""AdaFace's benchmarks: NAME/memfile/mem_file.dat with mem_file.dat.conf, and NAME_list.npy beside or in NAME.

The pixels are float32 (2p, 3, h, w), already (x / 255 - 0.5) / 0.5, and BGR (AdaFace's convert.py).
"""

import math
from pathlib import Path

import numpy as np

from stages.common import artifacts
from stages.common.errors import InputError
from stages.foreign import photographs
from stages.formats import benchmark_pairs
from stages.formats.benchmark_pairs import Benchmark


def read(folder: Path) -> Benchmark:
    """Return the benchmark; raises InputError when a file is missing, broken or of another shape."""
    file = folder / "memfile" / "mem_file.dat"
    shape = _shape(file.with_name("mem_file.dat.conf"))
    if not file.is_file():
        raise InputError(file, "no such file", allowed="the pixels that its .conf describes")
    if file.stat().st_size != 4 * math.prod(shape):
        allowed = f"float32 {artifacts.brief(shape)}, as its .conf says"
        raise InputError(file, key="bytes", value=file.stat().st_size, allowed=allowed)
    pixels = np.memmap(file, np.float32, "r", shape=tuple(shape))
    lists = [parent / f"{folder.name}_list.npy" for parent in (folder, folder.parent)]
    list_file = next((file for file in lists if file.is_file()), lists[0])
    same = benchmark_pairs.labels(list_file, artifacts.read_array(list_file))

    def encoded(row: int) -> bytes:
        with np.errstate(over="ignore"):
            grey = np.rint((pixels[row].transpose(1, 2, 0) * 0.5 + 0.5) * 255)[..., ::-1]
        if not ((grey >= 0) & (grey <= 255)).all():
            raise InputError(file, "a value outside its range", key=f"image {row}", allowed="-1 to 1")
        return photographs.lossless(np.ascontiguousarray(grey.astype(np.uint8)))

    return benchmark_pairs.by_content(
        file, len(pixels), encoded, lambda row: f"{file}: image {row}", same, lambda row: pixels[row].tobytes()
    )


def _shape(conf: Path) -> list[int]:
    """Return the shape that a .conf gives; raises InputError when it is none of float32 images."""
    card = artifacts.read_json(conf)
    card = card if isinstance(card, dict) else {}
    shape, dtype = card.get("shape"), card.get("dtype")
    if dtype != "float32":
        raise InputError(conf, key="dtype", value=dtype, allowed="float32")
    sizes = shape if isinstance(shape, list) and all(type(size) is int and size > 0 for size in shape) else []
    if len(sizes) != 4 or sizes[1] != 3:
        raise InputError(conf, key="shape", value=shape, allowed="[images, 3, height, width]")
    return sizes
