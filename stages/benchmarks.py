"""Make the evaluation pairs.

reads   params benchmarks, world; the user's sets under data/external/benchmarks; the world's face detector, if there is
        one and a set of full-size pictures
writes  data/benchmarks/PROTOCOL/faces-*.arrow  image shards
        data/benchmarks/PROTOCOL/pairs.arrow    a, b (rows of the shards), same, fold
        data/benchmarks/index.json              the protocols, in the order of the report
"""

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa

from stages.common import artifacts, params, ranks, shards, stage, tables
from stages.common.shards import Drawn, Encoded, Provenance
from stages.foreign import alignment
from stages.foreign.alignment import Aligner
from stages.formats.benchmark_pairs import Benchmark
from stages.protocols import embedded, external
from stages.settings.benchmarks import Benchmarks
from stages.settings.world import World


def embedded_protocols(cfg: Benchmarks, world: World, folder: Path) -> list[dict[str, object]]:
    """Render the five wild protocols and Syn-LFW; returns their index entries."""
    index = []
    for name in embedded.PROTOCOLS:
        album, compared = embedded.make(name, cfg, world)
        index.append(_entry(name, "wild", len(compared)))
        album.write("faces", folder / name, world.size_px)
        _write_pairs(folder / name, compared)
        if name == "lfw":
            index.append(_entry("syn-lfw", "studio", len(compared)))
            embedded.in_studio(album, world).write("faces", folder / "syn-lfw", world.size_px)
            _write_pairs(folder / "syn-lfw", compared)
    return index


def external_protocol(
    name: str, own: Benchmark, cfg: Benchmarks, world: World, folder: Path, aligner: Aligner | None
) -> dict[str, object]:
    """Crop the images of one of the user's sets, with an aligner where they are full-size; returns its index entry."""
    seeds = shards.image_seeds(name, 0, own.identity, own.index)
    rows = Provenance(external.DOMAIN, own.identity, own.index, seeds, frame_px=world.photo_frame_px)
    crop = cfg.crops.get(name)

    def faces(part: slice) -> Drawn | Encoded:
        if aligner:
            return external.aligned(own, part, aligner)
        return external.faces(own, part, crop, world.photo_frame_px, world.size_px)

    shards.draw("faces", rows, faces, folder / name)
    _write_pairs(folder / name, own.pairs)
    return _entry(name, external.DOMAIN, len(own.pairs))


def _external() -> dict[str, Benchmark]:
    """Return the user's own sets; one called like an embedded protocol joins as NAME-external."""
    taken = (*embedded.PROTOCOLS, "syn-lfw")
    return {
        f"{name}-external" if name in taken else name: external.read(path) for name, path in external.found().items()
    }


def _check_names(cfg: Benchmarks, own: Iterable[str]) -> None:
    for key, names in (("full_size", cfg.full_size), ("crops", cfg.crops)):
        if unknown := sorted(set(names) - set(own)):
            raise ValueError(
                f"params.yaml: benchmarks.{key} names {unknown[0]}; allowed: {', '.join(own) or 'none'}, "
                f"the sets in {external.ROOT}"
            )


def _write_pairs(folder: Path, compared: pa.Table) -> None:
    if ranks.rank() == 0:
        tables.write(folder / "pairs.arrow", compared)


def _entry(name: str, domain: str, compared: int) -> dict[str, object]:
    return {"name": name, "folder": f"data/benchmarks/{name}", "domain": domain, "pairs": compared}


def main() -> str:
    """Run the stage."""
    cfg, world = params.load("benchmarks", Benchmarks), params.load("world", World)
    own = _external()  # first: what is wrong there should not wait for the drawing
    _check_names(cfg, own)
    aligners = dict.fromkeys(cfg.full_size, alignment.load(world)) if cfg.full_size else {}
    with ranks.kept("benchmarks") as folder:
        added = [external_protocol(name, each, cfg, world, folder, aligners.get(name)) for name, each in own.items()]
        index = [*embedded_protocols(cfg, world, folder), *added]
        if ranks.rank() == 0:
            artifacts.write_json(folder / "index.json", {"protocols": index})
        ranks.publish(folder, "data/benchmarks")
    fixed = [f"; {name}{said}" for name in aligners if (said := alignment.fixed_crops(f"data/benchmarks/{name}"))]
    return f"benchmarks: {', '.join(str(entry['name']) for entry in index)}{''.join(fixed)} -> data/benchmarks"


if __name__ == "__main__":
    stage.run(main)
