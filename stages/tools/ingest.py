"""Turn foreign sets and benchmarks into plain files, once: `python -m stages.tools.ingest --from rec PATH OUT`.

A training set becomes image shards (`sets.NAME.backend: arrow`) or, with --to folder, one folder per person; a
benchmark (bin, npy, memfile) becomes an Arrow folder that lies in data/external/benchmarks as it is. Images keep their
bytes, and later runs read no pickle. Under `torchrun --nproc-per-node N -m stages.tools.ingest` ranks share the shards
of a set, and a run that was killed goes on, also with another number of ranks.
"""

import argparse
import hashlib
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from stages import formats
from stages.common import artifacts, images, pipeline, ranks
from stages.common.errors import InputError
from stages.common.shards import Roster
from stages.formats import Faces, bin, cvlface, folder, memfile, npy, training_sets
from stages.tools import command
from stages.tools.export import new

KEY_DIGITS = 16
BENCHMARKS = {"bin": bin.read, "npy": npy.read, "memfile": memfile.read}


def write_shards(out: Path, faces: Faces) -> None:
    """Write faces as image shards, people one after the other, every image with its own bytes; ranks share them."""
    order = np.argsort(faces.identity, kind="stable")
    people = Roster("ingest", 0, "external", np.bincount(faces.identity))
    starts = range(0, len(order), images.ROWS_PER_SHARD)
    parts = {
        out / f"faces-{number:05d}.arrow": slice(start, min(start + images.ROWS_PER_SHARD, len(order)))
        for number, start in enumerate(starts)
    }

    def work(file: Path) -> None:
        encoded = [faces.encoded(row) for row in order[parts[file]].tolist()]
        images.write_shard(file, encoded, **vars(people[parts[file]]))

    ranks.make({file: part.stop - part.start for file, part in parts.items()}, work, "write shards", "img")


@contextmanager
def resumed(out: Path, key: str) -> Iterator[Path]:
    """Yield a hidden folder beside `out`, the same for all ranks, which takes its place when the block ends well.

    What it holds is there for a later try with the same key, unless the block ends with bad input.
    """
    fresh = out.with_name(f".{out.name}-{key}")
    fresh.mkdir(parents=True, exist_ok=True)
    ranks.barrier()
    try:
        yield fresh
    except InputError:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    if ranks.rank() == 0:
        for half in fresh.glob(f"{artifacts.TEMPORARY}*"):  # written by a rank that was killed
            half.unlink()
        fresh.rename(out)
        for stale in out.parent.glob(f".{out.name}-{'[0-9a-f]' * KEY_DIGITS}"):  # of another input
            shutil.rmtree(stale)
    ranks.barrier()


def key_of(path: Path) -> str:
    """Return a digest of a set's files, by their sizes and times of change; of one file also those of its name."""
    digest = hashlib.sha256()
    for file in [path] if path.is_dir() else sorted(path.parent.glob(f"{path.stem}.*")):
        for stamp in pipeline.stamps(file):
            digest.update(repr(stamp).encode())
    return digest.hexdigest()[:KEY_DIGITS]


def ingest_set(kind: str, path: Path, out: Path, to: str) -> str:
    """Write a training set as shards or folders; returns how many faces and people."""
    faces = training_sets.READERS[kind](path)
    if to == "shards":
        with resumed(out, key_of(path)) as fresh:
            write_shards(fresh, faces)
    else:
        with artifacts.output_folder(out) as fresh:
            folder.write(fresh, faces)
    return (
        f"{len(faces.identity)} faces of {int(faces.identity.max()) + 1} people{formats.files_skipped(faces.skipped)}"
    )


def ingest_benchmark(kind: str, path: Path, out: Path) -> str:
    """Write a benchmark as an Arrow folder; returns how many pairs and images."""
    benchmark = BENCHMARKS[kind](path)
    a, b, same = (benchmark.pairs[name].to_numpy() for name in ("a", "b", "same"))
    with artifacts.output_folder(out) as fresh:
        cvlface.write(fresh, benchmark.encoded, np.stack([a, b], 1).ravel(), same)
    return f"{len(same)} pairs of {len(benchmark.identity)} images"


def main(words: Sequence[str]) -> str | None:
    """Run the command; returns what it did, on the first rank."""
    parser = argparse.ArgumentParser("ingest", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--from", required=True, choices=[*training_sets.READERS, *BENCHMARKS], dest="kind")
    parser.add_argument("--to", choices=["shards", "folder"], default="shards", help="of a training set")
    parser.add_argument("path", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args(words)
    if not args.path.exists():
        raise InputError(args.path, "no such file or folder")
    if args.kind == "bin" and not args.path.is_file():
        raise InputError(args.path, "not a file", allowed="a .bin or .xz")
    if ranks.rank() > 0 and (args.kind in BENCHMARKS or args.to == "folder"):
        return None  # they are not shared
    with new(args.out):
        if args.kind in BENCHMARKS:
            counts = ingest_benchmark(args.kind, args.path, args.out)
        else:
            counts = ingest_set(args.kind, args.path, args.out, args.to)
    return f"ingest: {counts} -> {args.out}" if ranks.rank() == 0 else None


if __name__ == "__main__":
    command.run(main)
