"""Turn foreign sets and benchmarks into plain files, once: `python -m stages.tools.ingest --from rec PATH OUT`.

A training set becomes image shards (`sets.NAME.backend: arrow`) or, with --to folder, one folder per person; a
benchmark (bin, npy, memfile) becomes an Arrow folder that lies in data/external/benchmarks as it is. Images keep their
bytes, and later runs read no pickle.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from stages import formats
from stages.common import artifacts, catalogue, images, shards
from stages.common.errors import InputError
from stages.formats import Faces, bin, cvlface, folder, memfile, npy, training_sets
from stages.tools import command
from stages.tools.export import new

BENCHMARKS = {"bin": bin.read, "npy": npy.read, "memfile": memfile.read}


def write_shards(out: Path, faces: Faces) -> None:
    """Write faces as image shards, people one after the other, every image with its own bytes."""
    order = np.argsort(faces.identity, kind="stable")
    identity, index = faces.identity[order], catalogue.index_within(faces.identity)[order]
    seeds = shards.image_seeds("ingest", 0, identity, index)
    starts = range(0, len(order), images.ROWS_PER_SHARD)
    for number, start in enumerate(formats.progress(starts, "write shards")):
        part = slice(start, start + images.ROWS_PER_SHARD)
        encoded = [faces.encoded(row) for row in order[part].tolist()]
        provenance = {"identity": identity[part], "index": index[part], "seed": seeds[part], "domain": "external"}
        images.write_shard(out / f"faces-{number:05d}.arrow", encoded, **provenance)


def ingest_set(kind: str, path: Path, out: Path, to: str) -> str:
    """Write a training set as shards or folders; returns how many faces and people."""
    faces = training_sets.READERS[kind](path)
    with artifacts.output_folder(out) as fresh:
        {"shards": write_shards, "folder": folder.write}[to](fresh, faces)
    return (
        f"{len(faces.identity)} faces of {int(faces.identity.max()) + 1} people{formats.files_skipped(faces.skipped)}"
    )


def ingest_benchmark(kind: str, path: Path, out: Path) -> str:
    """Write a benchmark as an Arrow folder; returns how many pairs and images."""
    benchmark = BENCHMARKS[kind](path)
    a, b, same = (benchmark.pairs[name].to_numpy() for name in ("a", "b", "same"))
    with artifacts.output_folder(out) as fresh:
        cvlface.write(fresh, [benchmark.encoded(int(row)) for row in np.stack([a, b], 1).ravel()], same)
    return f"{len(same)} pairs of {len(benchmark.identity)} images"


def main(words: Sequence[str]) -> str:
    """Run the command."""
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
    with new(args.out):
        if args.kind in BENCHMARKS:
            counts = ingest_benchmark(args.kind, args.path, args.out)
        else:
            counts = ingest_set(args.kind, args.path, args.out, args.to)
    return f"ingest: {counts} -> {args.out}"


if __name__ == "__main__":
    command.run(main)
