"""Write faces or a network of ours for other software: `python -m stages.tools.export --to rec data/variants/base OUT`.

SOURCE is a variant (data/variants/NAME), the generated images that the audit kept (data/generate), the initial faces
(data/gallery), a set (data/sets/NAME) or a benchmark (data/benchmarks/NAME). Faces keep the bytes that they have. Only
where --size-px asks for another size, or where not all readers would see the same picture (EXIF, 16 bits, CMYK, alpha),
are they encoded anew, as PNG.

rec         arcface_torch, AdaFace (--use_mxrecord), CVLface: train.rec, train.idx, property
folder      one folder per person, as torchvision's ImageFolder reads them
lmdb        SOTA-FR, HSFace: train.lmdb
webdataset  tars of images and labels
parquet     Hugging Face `datasets`
bin         benchmarks for arcface_torch and AdaFace's convert.py
arrow       benchmarks for CVLface (`Dataset.load_from_disk`)
onnx        a network (data/train/NAME/seed-SEED, data/pretrain/NAME) for insightface, onnxruntime, `recogniser: onnx`:
            one file, and card.json beside it; with --size-px 112 it takes ArcFace's crops of 112 px
"""

import argparse
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import numpy as np

from stages import formats, variants
from stages.common import artifacts, catalogue, images, tables
from stages.common.errors import InputError
from stages.foreign import photographs
from stages.formats import Faces, bin, cvlface, folder, lmdb, parquet, rec, webdataset
from stages.tools import command

DATA = Path("data")
SIZES_PX = range(16, 1025)
FILES_OPEN = 64
IMAGES_HELD = 1024  # of a benchmark: several pairs show the same
SOURCES = "data/variants/NAME, data/generate, data/gallery, data/sets/NAME, data/benchmarks/NAME"
SETS: dict[str, Callable[[Path, Faces], None]] = {
    "rec": rec.write,
    "folder": folder.write,
    "webdataset": webdataset.write,
    "parquet": parquet.write,
    "lmdb": lmdb.write,
}
Pairs = Callable[[Path, Callable[[int], bytes], np.ndarray, np.ndarray], None]  # writes images of rows, and labels
BENCHMARKS: dict[str, Pairs] = {"bin": bin.write, "arrow": cvlface.write}


class Chosen:
    """Rows of image shards: the number of its file and the row within it, and the person, of each (n,).

    They are read at `size_px` or, where that is None, as they are; a few files are open at a time.
    """

    size, skipped = None, 0

    def __init__(
        self, files: Sequence[Path], number: np.ndarray, rows: np.ndarray, identity: np.ndarray, size_px: int | None
    ) -> None:
        """Look at the shards; raises ValueError when one is missing or broken."""
        for file in files:
            tables.read(file, images.SCHEMA)
        self._files, self._number, self._rows, self._size_px = files, number, rows, size_px
        self._images = lru_cache(FILES_OPEN)(lambda number: tables.mapped(files[number])["image"])
        self.identity = formats.people(identity)

    def encoded(self, row: int) -> bytes:
        """Return the encoded image of a row."""
        encoded = self._images(int(self._number[row]))[int(self._rows[row])].as_py()
        return reencoded(encoded, self.source(row), self._size_px)

    def source(self, row: int) -> str:
        """Return the shard and the row within it."""
        return f"{self._files[self._number[row]]}: row {self._rows[row]}"


def reencoded(encoded: bytes, source: str, size_px: int | None) -> bytes:
    """Return an image at `size_px`, or as it is: its own bytes where all readers see the same in them, else PNG."""
    if size_px is not None:
        return photographs.square_bytes(encoded, source, lambda photograph: photograph, size_px)
    return encoded if photographs.plain(encoded) else photographs.lossless(images.decode(encoded, source))


def chosen(source: Path, size_px: int | None) -> Faces:
    """Return the faces of a variant, of data/generate as audited, or of a set; raises ValueError for anything else."""
    if (source / "manifest.arrow").is_file():
        return _of_variant(source, size_px)
    if source.parent not in (DATA, DATA / "sets") or not any(source.glob("*.arrow")):
        raise InputError(source, "no images", allowed=SOURCES)
    rows = variants.rows_of("audit" if source == DATA / "generate" else str(source.relative_to(DATA)))
    number, names = catalogue.coded(rows["shard"])
    used, number = np.unique(number, return_inverse=True)
    return Chosen(
        [source / names[i] for i in used], number, rows["row"].to_numpy(), rows["identity"].to_numpy(), size_px
    )


def _of_variant(source: Path, size_px: int | None) -> Faces:
    file = source / "manifest.arrow"
    manifest = tables.read(file, tables.MANIFEST)
    names, number = catalogue.shards_of(manifest)
    digests = json.loads((manifest.schema.metadata or {}).get(b"variant", b"{}")).get("digests", {})
    for name in names:
        if artifacts.digest(artifacts.existing(DATA / name)) != digests.get(name):
            raise InputError(DATA / name, f"sha256 differs from the one in {file}; `dvc repro` makes both anew")
    if not (manifest["weight"].to_numpy() == 1).all():
        raise InputError(source, "faces of two people each", allowed="variants without mixup")
    rows, labels = manifest["row"].to_numpy(), manifest["label_a"].to_numpy()
    return Chosen([DATA / name for name in names], number, rows, labels, size_px)


@contextmanager
def new(out: Path) -> Iterator[None]:
    """Let `out` be written within the block; raises ValueError when it exists already or cannot be written."""
    if os.path.lexists(out):
        raise InputError(out, "exists already", allowed="a new path")
    try:
        yield
    except OSError as error:
        raise InputError(out, f"not written: {error}", allowed="a new path that can be written") from error


def export_set(source: Path, kind: str, out: Path, size_px: int | None) -> str:
    """Write a training set in a format; returns how many faces and people."""
    faces = chosen(source, size_px)
    with artifacts.output_folder(out) as fresh:
        SETS[kind](fresh, faces)
    return f"{len(faces.identity)} faces of {int(faces.identity.max()) + 1} people"


def export_benchmark(source: Path, kind: str, out: Path, size_px: int | None) -> str:
    """Write a benchmark in a format; returns how many pairs and images."""
    shards = images.Shards(source, "*-[0-9]*.arrow")  # without pairs.arrow
    pairs = tables.read(source / "pairs.arrow", tables.PAIRS)
    rows = np.stack([pairs["a"].to_numpy(), pairs["b"].to_numpy()], 1).ravel()

    @lru_cache(IMAGES_HELD)
    def encoded(row: int) -> bytes:
        return reencoded(bytes(shards.encoded(row)), shards.source(row), size_px)

    output = artifacts.output_folder if kind == "arrow" else artifacts.output_file
    with output(out) as fresh:
        BENCHMARKS[kind](fresh, encoded, rows, pairs["same"].to_numpy())
    return f"{len(pairs)} pairs of {len(shards)} images"


def main(words: Sequence[str]) -> str:
    """Run the command."""
    parser = argparse.ArgumentParser("export", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--to", required=True, choices=[*SETS, *BENCHMARKS, "onnx"])
    parser.add_argument("--size-px", type=int, help="side of the faces, 112 for the backbones of most; default: as is")
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args(words)
    if args.size_px is not None and args.size_px not in SIZES_PX:
        allowed = f"{SIZES_PX.start} to {SIZES_PX.stop - 1}"
        raise InputError(None, key="--size-px", value=args.size_px, allowed=allowed)
    if args.to == "onnx":
        from stages.tools import export_network  # and torch, which faces do not need

        with new(args.out):
            return f"export: {export_network.write(args.source, args.out, args.size_px)} -> {args.out}"
    if not args.source.is_dir():
        raise InputError(args.source, "no such folder", allowed=SOURCES)
    is_benchmark = (args.source / "pairs.arrow").is_file()
    kinds = BENCHMARKS if is_benchmark else SETS
    if args.to not in kinds:
        problem = "a benchmark" if is_benchmark else "no benchmark"
        raise InputError(args.source, problem, key="--to", value=args.to, allowed=", ".join(kinds))
    export = export_benchmark if is_benchmark else export_set
    with new(args.out):
        return f"export: {export(args.source, args.to, args.out, args.size_px)} -> {args.out}"


if __name__ == "__main__":
    command.run(main)
