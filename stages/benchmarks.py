"""Make what evaluation compares.

reads   params benchmarks, world; the user's sets under data/external/benchmarks; the world's face detector, if there is
        one and a set of full-size pictures
writes  data/benchmarks/NAME/faces-*.arrow  image shards
        data/benchmarks/NAME/pairs.arrow    pairs of images in folds: a, b (rows of the shards), same, fold
        data/benchmarks/NAME/groups.arrow   of pairs that have groups: a column for each grouping
        data/benchmarks/NAME/templates.arrow, comparisons.arrow, searches.arrow   of benchmarks of templates, see
                                            stages/common/templates.py
        data/benchmarks/index.json          the benchmarks with their evaluators (`kind`), in the order of the report
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from stages.common import artifacts, params, ranks, shards, stage, tables
from stages.common.errors import InputError
from stages.common.shards import Drawn, Encoded, Roster
from stages.common.templates import TABLES
from stages.common.world import World
from stages.foreign import alignment
from stages.foreign.alignment import Aligner
from stages.formats import groups
from stages.formats.benchmark_pairs import Benchmark
from stages.formats.template_sets import TemplateSet
from stages.protocols import embedded, embedded_groups, embedded_templates, external
from stages.settings.benchmarks import Benchmarks
from stages.world.album import Album

Entry = dict[str, Any]  # of the index


class External(NamedTuple):
    """One of the user's sets, and the groups of its pairs, if it has any."""

    found: Benchmark | TemplateSet
    groups: pa.Table | None


def embedded_protocols(cfg: Benchmarks, world: World, folder: Path) -> list[Entry]:
    """Render the five wild protocols, Syn-LFW and the templates; returns their index entries."""
    index = []
    for name in embedded.PROTOCOLS:
        scenes, pairs = embedded.make(name, cfg, world)
        _render(name, scenes.people, scenes.album, world, folder)
        index.append(_pairs(name, scenes.people.domain, pairs, folder))
        if name == "lfw":
            index.append(_groups(name, scenes.people.domain, embedded_groups.of_pairs(scenes, pairs), folder))
            studio = replace(scenes.people, domain="studio")
            _render("syn-lfw", studio, partial(embedded.in_studio, scenes, world), world, folder)
            index.append(_pairs("syn-lfw", studio.domain, pairs, folder))
    videos, of_images, protocols = embedded_templates.make(cfg, world)
    _render(embedded_templates.NAME, videos.people, videos.album, world, folder)
    return [*index, *_templates(embedded_templates.NAME, videos.people.domain, of_images, protocols, folder)]


def _render(name: str, people: Roster, album: Callable[[slice], Album], world: World, folder: Path) -> None:
    shards.draw("faces", people, lambda part: album(part).faces(slice(None), world.size_px), folder / name)


def external_protocols(
    name: str, benchmark: External, cfg: Benchmarks, world: World, folder: Path, aligner: Aligner | None
) -> list[Entry]:
    """Crop the images of one of the user's sets, with an aligner where they are full-size; returns its entries."""
    found, grouped = benchmark
    rows, crop = external.Rows(name, found, world.photo_frame_px), cfg.crops.get(name)

    def faces(part: slice) -> Drawn | Encoded:
        if isinstance(found, TemplateSet) and found.landmarks is not None:
            return external.by_landmarks(found, part, world.photo_frame_px, world.size_px)
        if aligner:
            return external.aligned(found, part, aligner)
        return external.faces(found, part, crop, world.photo_frame_px, world.size_px)

    shards.draw("faces", rows, faces, folder / name)
    if isinstance(found, TemplateSet):
        return _templates(name, external.DOMAIN, found.images, found.protocols, folder)
    entries = [_pairs(name, external.DOMAIN, found.pairs, folder)]
    return entries if grouped is None else [*entries, _groups(name, external.DOMAIN, grouped, folder)]


def _external() -> dict[str, External]:
    """Return the user's own sets with their groups; one called like an embedded protocol joins as NAME-external."""
    taken = (*embedded.PROTOCOLS, "syn-lfw", embedded_templates.NAME)
    found = {}
    for name, path in external.benchmarks().items():
        benchmark = external.read_any(path)
        grouped = None
        if isinstance(benchmark, Benchmark):
            grouped = benchmark.groups or groups.read(path, benchmark.pairs)
        found[f"{name}-external" if name in taken else name] = External(benchmark, grouped)
    return found


def _check_names(cfg: Benchmarks, own: Iterable[str]) -> None:
    for key, names in (("full_size", cfg.full_size), ("crops", cfg.crops)):
        if unknown := sorted(set(names) - set(own)):
            allowed = f"{', '.join(own) or 'none'}, the sets in {external.ROOT}"
            raise InputError(params.FILE, key=f"benchmarks.{key}", value=unknown[0], allowed=allowed)


def _pairs(name: str, domain: str, pairs: pa.Table, folder: Path) -> Entry:
    _write(folder / name / "pairs.arrow", pairs)
    return {**_entry(name, "pairs", domain), "pairs": len(pairs)}


def _groups(name: str, domain: str, grouped: pa.Table, folder: Path) -> Entry:
    _write(folder / name / "groups.arrow", grouped)
    return {**_entry(name, "groups", domain), "name": f"{name}-groups"}


def _templates(
    name: str, domain: str, of_images: pa.Table, protocols: Mapping[str, pa.Table], folder: Path
) -> list[Entry]:
    _write(folder / name / "templates.arrow", of_images)
    entries = []
    for kind, table in protocols.items():
        _write(folder / name / TABLES[kind], table)
        entries.append({**_entry(name, kind, domain), "name": f"{name}-1n" if kind == "open_set" else name})
    return entries


def _write(file: Path, table: pa.Table) -> None:
    if ranks.rank() == 0:
        tables.write(file, table)


def _entry(name: str, kind: str, domain: str) -> Entry:
    return {"name": name, "kind": kind, "folder": f"data/benchmarks/{name}", "domain": domain}


def main() -> str:
    """Run the stage."""
    cfg, world = params.load("benchmarks", Benchmarks), params.load("world", World)
    own = _external()  # first, so that an error in them is reported before anything is drawn
    _check_names(cfg, own)
    aligners = dict.fromkeys(cfg.full_size, alignment.load(world)) if cfg.full_size else {}
    with ranks.kept("benchmarks") as folder:
        added = [external_protocols(name, own[name], cfg, world, folder, aligners.get(name)) for name in own]
        index = [*embedded_protocols(cfg, world, folder), *chain.from_iterable(added)]
        if ranks.rank() == 0:
            artifacts.write_json(folder / "index.json", {"protocols": index})
        ranks.publish(folder, "data/benchmarks")
    if ranks.rank() > 0:
        return ""
    notes = [f"; {name}{note}" for name in aligners if (note := alignment.fixed_crops(f"data/benchmarks/{name}"))]
    return f"benchmarks: {', '.join(str(entry['name']) for entry in index)}{''.join(notes)} -> data/benchmarks"


if __name__ == "__main__":
    stage.run(main)
