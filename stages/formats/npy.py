"""SOTA-FR's benchmarks: NAME/NAME.npy uint8 (2p, 3, h, w) RGB and NAME/issame.txt, 0 or 1 a line."""

from pathlib import Path

import numpy as np

from stages.common import artifacts
from stages.common.errors import InputError
from stages.foreign import photographs
from stages.formats import benchmark_pairs, text
from stages.formats.benchmark_pairs import Benchmark


def read(folder: Path) -> Benchmark:
    """Return the benchmark; raises InputError when a file is missing, broken or of another shape."""
    file, labels_file = folder / f"{folder.name}.npy", folder / "issame.txt"
    pixels = artifacts.map_array(file)
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[1] != 3:
        array = f"{pixels.dtype} {pixels.shape}"
        raise InputError(file, key="array", value=array, allowed="uint8 (images, 3, height, width)")
    labels = text.read(labels_file).split()
    wrong = [label for label in labels if label not in ("0", "1")]
    if wrong or not labels:
        raise InputError(labels_file, key="label", value=wrong[0] if wrong else "", allowed="0 or 1 for every pair")

    def encoded(row: int) -> bytes:
        return photographs.lossless(np.ascontiguousarray(pixels[row].transpose(1, 2, 0)))

    same = np.array(labels) == "1"
    return benchmark_pairs.by_content(
        file, len(pixels), encoded, lambda row: f"{file}: image {row}", same, lambda row: pixels[row].tobytes()
    )
