"""Make the evaluation pairs.

reads   params benchmarks, world; the user's sets under data/external/benchmarks; the world's face detector, if there is
        one and a set of full-size pictures
writes  data/benchmarks/PROTOCOL/faces-*.arrow  image shards
        data/benchmarks/PROTOCOL/pairs.arrow    a, b (rows of the shards), same, fold
        data/benchmarks/index.json              the protocols, in the order of the report
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pyarrow as pa

from stages.common import artifacts, params, ranks, shards, stage, tables
from stages.common.errors import InputError
from stages.common.shards import Drawn, Encoded, Provenance, Roster
from stages.common.world import World
from stages.foreign import alignment
from stages.foreign.alignment import Aligner
from stages.formats.benchmark_pairs import Benchmark
from stages.protocols import embedded, external
from stages.settings.benchmarks import Benchmarks
from stages.world.album import Album


def embedded_protocols(cfg: Benchmarks, world: World, folder: Path) -> list[dict[str, object]]:
    """Render the five wild protocols and Syn-LFW; returns their index entries."""
    index = []
    for name in embedded.PROTOCOLS:
        scenes, pairs = embedded.make(name, cfg, world)
        index.append(_rendered(name, scenes.people, scenes.album, pairs, world, folder))
        if name == "lfw":
            studio = replace(scenes.people, domain="studio")
            index.append(_rendered("syn-lfw", studio, partial(embedded.in_studio, scenes, world), pairs, world, folder))
    return index


def _rendered(
    name: str, people: Roster, album: Callable[[slice], Album], pairs: pa.Table, world: World, folder: Path
) -> dict[str, object]:
    shards.draw("faces", people, lambda part: album(part).faces(slice(None), world.size_px), folder / name)
    _write_pairs(folder / name, pairs)
    return _entry(name, people.domain, len(pairs))


def external_protocol(
    name: str, benchmark: Benchmark, cfg: Benchmarks, world: World, folder: Path, aligner: Aligner | None
) -> dict[str, object]:
    """Crop the images of one of the user's sets, with an aligner where they are full-size; returns its index entry."""
    identity, index = benchmark.identity, benchmark.index
    seeds = shards.image_seeds(name, 0, identity, index)
    rows = Provenance(external.DOMAIN, identity, index, seeds, frame_px=world.photo_frame_px)
    crop = cfg.crops.get(name)

    def faces(part: slice) -> Drawn | Encoded:
        if aligner:
            return external.aligned(benchmark, part, aligner)
        return external.faces(benchmark, part, crop, world.photo_frame_px, world.size_px)

    shards.draw("faces", rows, faces, folder / name)
    _write_pairs(folder / name, benchmark.pairs)
    return _entry(name, external.DOMAIN, len(benchmark.pairs))


def _external() -> dict[str, Benchmark]:
    """Return the user's own sets; one called like an embedded protocol joins as NAME-external."""
    taken = (*embedded.PROTOCOLS, "syn-lfw")
    return {
        f"{name}-external" if name in taken else name: external.read(path)
        for name, path in external.benchmarks().items()
    }


def _check_names(cfg: Benchmarks, own: Iterable[str]) -> None:
    for key, names in (("full_size", cfg.full_size), ("crops", cfg.crops)):
        if unknown := sorted(set(names) - set(own)):
            allowed = f"{', '.join(own) or 'none'}, the sets in {external.ROOT}"
            raise InputError(params.FILE, key=f"benchmarks.{key}", value=unknown[0], allowed=allowed)


def _write_pairs(folder: Path, pairs: pa.Table) -> None:
    if ranks.rank() == 0:
        tables.write(folder / "pairs.arrow", pairs)


def _entry(name: str, domain: str, pairs: int) -> dict[str, object]:
    return {"name": name, "kind": "pairs", "folder": f"data/benchmarks/{name}", "domain": domain, "pairs": pairs}


def main() -> str:
    """Run the stage."""
    cfg, world = params.load("benchmarks", Benchmarks), params.load("world", World)
    own = _external()  # first, so that an error in them is reported before anything is drawn
    _check_names(cfg, own)
    aligners = dict.fromkeys(cfg.full_size, alignment.load(world)) if cfg.full_size else {}
    with ranks.kept("benchmarks") as folder:
        added = [external_protocol(name, own[name], cfg, world, folder, aligners.get(name)) for name in own]
        index = [*embedded_protocols(cfg, world, folder), *added]
        if ranks.rank() == 0:
            artifacts.write_json(folder / "index.json", {"protocols": index})
        ranks.publish(folder, "data/benchmarks")
    if ranks.rank() > 0:
        return ""
    notes = [f"; {name}{note}" for name in aligners if (note := alignment.fixed_crops(f"data/benchmarks/{name}"))]
    return f"benchmarks: {', '.join(str(entry['name']) for entry in index)}{''.join(notes)} -> data/benchmarks"


if __name__ == "__main__":
    stage.run(main)
