"""AdaFace's benchmarks: NAME/memfile/mem_file.dat with mem_file.dat.conf, and NAME_list.npy beside or in NAME.

The pixels are float32 (2p, 3, h, w), already (x / 255 - 0.5) / 0.5, and BGR (AdaFace's convert.py).
"""

from pathlib import Path

import numpy as np

from stages.common import artifacts, photographs
from stages.formats import paired
from stages.formats.paired import Benchmark


def read(folder: Path) -> Benchmark:
    """Return the benchmark; raises ValueError when a file is missing, broken or of another shape."""
    file = folder / "memfile" / "mem_file.dat"
    card = artifacts.read_json(file.with_name("mem_file.dat.conf"))
    shape = tuple(card.get("shape", ())) if isinstance(card, dict) else ()
    if len(shape) != 4 or shape[1] != 3 or card.get("dtype") != "float32":
        raise ValueError(f"{file}.conf: {card}; allowed: dtype float32, shape (images, 3, height, width)")
    if not file.is_file() or file.stat().st_size != 4 * int(np.prod(shape)):
        raise ValueError(f"{file}: missing or truncated; allowed: {4 * int(np.prod(shape))} bytes, as its .conf says")
    pixels = np.memmap(file, np.float32, "r", shape=shape)
    lists = [parent / f"{folder.name}_list.npy" for parent in (folder, folder.parent)]
    same = artifacts.read_array(next((file for file in lists if file.is_file()), lists[0])).astype(bool)

    def encoded(row: int) -> bytes:
        grey = np.rint((pixels[row].transpose(1, 2, 0) * 0.5 + 0.5) * 255)[..., ::-1]
        if not ((grey >= 0) & (grey <= 255)).all():
            raise ValueError(f"{file}: image {row}: values outside -1 to 1")
        return photographs.lossless(np.ascontiguousarray(grey.astype(np.uint8)))

    return paired.by_content(
        len(pixels), encoded, lambda row: f"{file}: image {row}", same, lambda row: pixels[row].tobytes()
    )
