"""Measure the generated images with the recogniser that they were made for, and with a judge that took no part.

reads   data/generate/, data/gallery/, data/embed/ x_ref, data/pack/ x_id; both networks; a witness and
        unrelated people of a set, where params say so; params audit, embed, world
writes  data/audit/images.arrow   each plain and mixed image of data/generate: where it is, how it was made, its row in
                                  the embeddings, whether the filter keeps it; columns in stages/common/tables.py
        data/audit/shards.json   sha256 of the shards audited: later stages depend on the images through this file
        data/judged/recogniser.npy, judge.npy   embeddings (plain images, d) of the images of data/generate
        data/judged/confused-KIND.npy   (N - 1, 3) share of confused probes among N = 2, 3, ... identities, low, high;
                                        witness-confused-KIND.npy: by the witness
        reports/audit.json

Training reads data/audit, and the report the rest: another witness, or a judge that keeps the same images, trains
nothing again.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from stages.auditing import attributes, faces, images, measures, witness
from stages.auditing.faces import Networks, Numbered, People
from stages.common import artifacts, embeddings, notes, params, ranks, recognisers, sphere, stage, tables
from stages.common.images import Shards
from stages.common.params import Network
from stages.common.world import World
from stages.metrics.faces import Faces
from stages.settings.audit import Audit

GENERATED, REPORT = Path("data/generate"), Path("reports/audit.json")
AUDITED, JUDGED = Path("data/audit"), Path("data/judged")
TOGETHER = ("leakage", "near_duplicates")  # branches whose work all ranks share


@dataclass(frozen=True)
class Seen:
    """What recogniser and judge see, by the network's name; rows are memory-mapped.

    gallery: the judge's unit rows of its faces (n, d). control: what was drawn without perturbation of packed, gallery
    and gaussian rows. unrelated: people who are not in the gallery.
    """

    plain: dict[str, Faces]
    gallery: np.ndarray
    control: dict[str, dict[str, Numbered]]
    unrelated: dict[str, Numbered]


def seen(networks: Networks, plain: People, unrelated: People, folder: Path) -> Seen:
    """Return what the networks see, all ranks together; finished shards are kept in `folder`."""
    judge = {"judge": networks["judge"]}
    control = {}
    for name, by in {"packed": networks, "gallery": networks, "gaussian": judge}.items():
        people = faces.of_shards(Shards(GENERATED, f"control-{name}-*.arrow"))
        control[name] = faces.embedded(by, people, folder, f"control-{name}")
    gallery = embeddings.embed(judge, embeddings.stored(Shards("data/gallery")), folder, "gallery")
    return Seen(
        {name: x for name, (x, _) in faces.embedded(networks, plain, folder, "plain").items()},
        embeddings.whole(gallery["judge"], folder / ".gallery.npy", sphere.unit_rows),
        control,
        faces.embedded(networks, unrelated, folder, "unrelated"),
    )


def fidelities(seen: Seen, drawn: np.ndarray, seed: int) -> dict[str, Any]:
    """Return how faithfully packed and gallery rows were drawn, by both networks; drawn: each identity's packed row."""
    fidelity = {}
    for name, (folder, row) in {"packed": ("data/pack", "x_id"), "gallery": ("data/embed", "x_ref")}.items():
        (control, _), by_judge = seen.control[name]["recogniser"], seen.control[name]["judge"]
        x = artifacts.map_rows(folder, row, control.x.shape[1])[0]
        x = x[drawn[: control.people]] if name == "packed" else x[: control.people]
        judge = measures.judged(*by_judge, seed)
        if name == "gallery":  # only here does the judge have the face that the image should show
            judge["to_the_face"] = measures.fidelity(by_judge[0], seen.gallery[: len(x)], seed)
        fidelity[name] = {"recogniser": measures.fidelity(control, x, seed), "judge": judge}
    return fidelity


def capacities(seen: Seen, cfg: Audit, folder: Path) -> dict[str, Any]:
    """Return how many identities fit; writes the curves of confused probes into `folder`."""
    unrelated = seen.unrelated["judge"]
    kinds = {**{name: by["judge"] for name, by in seen.control.items()}, "unrelated": unrelated}
    capacity, curves = measures.capacities(kinds, unrelated[0], cfg)
    for kind, share in curves.items():
        artifacts.write_array(folder / f"confused-{kind}.npy", share)
    return capacity


def branches(networks: Networks, seen: Seen, cfg: Audit, folder: Path) -> dict[str, Callable[[], dict[str, Any]]]:
    """Return how each branch of the report is measured.

    A copy of the faces, which `replace` makes, forgets its sums and centres when its branch is done.
    """
    plain, judged, drawn = seen.plain, seen.plain["judge"], artifacts.read_array(GENERATED / "rows.npy")

    def reached() -> dict[str, Any]:
        x = {"recogniser": artifacts.map_rows("data/pack", "x_id")[0][drawn], "judge": judged.centres}
        return attributes.measured({name: (networks[name], rows) for name, rows in x.items()})

    def dimensions() -> dict[str, Any]:
        packed = {name: measures.dimension(replace(x)) for name, x in plain.items()}
        return {"packed": packed, "unrelated": {name: measures.dimension(x) for name, (x, _) in seen.unrelated.items()}}

    return {
        "fidelity": lambda: fidelities(seen, drawn, cfg.seed),
        "separation": lambda: {name: measures.separation(replace(x)) for name, x in plain.items()},
        "spread": lambda: {name: measures.spread(replace(x), cfg.seed) for name, x in plain.items()},
        "dimension": dimensions,
        "leakage": lambda: measures.leakage(judged, seen.gallery, seen.unrelated["judge"][0], cfg),
        "near_duplicates": lambda: measures.near_duplicates(judged, cfg.duplicate_cosine),
        "attributes": reached,
        "capacity": lambda: capacities(seen, cfg, folder),
    }


def witnessed(cfg: Audit, unrelated: People, folder: Path) -> dict[str, Callable[[], dict[str, Any]]]:
    """Return how the branch of the witness is measured, where params name one; all ranks call this."""
    network = cfg.witness.chosen()
    if network is None:
        return {}
    net = recognisers.load(network)
    rows = witness.seen(net, GENERATED, unrelated, folder)
    same_person: float | None = getattr(net, "same_person", None)
    return {"witness": lambda: witness.measured(rows, same_person, cfg, folder / JUDGED.name)}


def measured(branches: Mapping[str, Callable[[], dict[str, Any]]], folder: Path) -> dict[str, Any]:
    """Return the branches, each measured by one rank or by all TOGETHER; finished ones are kept in `folder`."""
    files = {name: folder / f".{name}.json" for name in branches}
    missing = [name for name in TOGETHER if not files[name].exists()]

    def work(file: Path) -> None:
        artifacts.write_json(file, branches[own[file]]())

    own = {file: name for name, file in files.items() if name not in TOGETHER}
    ranks.make(dict.fromkeys(own, 1), work, "measure", "part")
    for name in missing:
        branch = branches[name]()
        if ranks.rank() == 0:
            artifacts.write_json(files[name], branch)
    ranks.barrier()
    return {name: artifacts.read_json(file) for name, file in files.items()}


def write(folder: Path, table: pa.Table, sha256: Mapping[str, str]) -> None:
    """Write what training reads: the table of images, and the digests of their shards by name."""
    tables.write(folder / "images.arrow", table)
    artifacts.write_json(folder / "shards.json", sha256)


def main() -> str:
    """Run the stage."""
    cfg, world = params.load("audit", Audit), params.load("world", World)
    named = {"recogniser": params.load("embed", Network), "judge": cfg.judge}
    networks = {name: recognisers.load(network) for name, network in named.items()}
    unrelated, plain = faces.unrelated_people(cfg, world), faces.of_shards(Shards(GENERATED, "plain-*.arrow"))
    with ranks.kept("audit") as folder:
        audited, judged = (folder / out.name for out in (AUDITED, JUDGED))
        listing = folder / ".images.arrow"
        if ranks.rank() == 0:  # first, so that what was drawn is known to be whole; then out of memory
            tables.write(listing, images.drawn(GENERATED))
        rows = seen(networks, plain, unrelated, folder)
        parts = branches(networks, rows, cfg, judged) | witnessed(cfg, unrelated, folder)
        report = measured(parts, folder)
        shards = sorted(file for kind in ("plain", "mixup") for file in GENERATED.glob(f"{kind}-*.arrow"))
        sha256 = notes.each(shards, artifacts.digest, folder, "sha256")
        if ranks.rank() == 0:
            keep = measures.kept(rows.plain["judge"], cfg.min_centre_cosine)
            judged.mkdir(exist_ok=True)
            for name in networks:
                (folder / f".plain-{name}.npy").rename(judged / f"{name}.npy")
            table = images.kept(tables.mapped(listing), keep)
            write(audited, table, {file.name: of for file, of in zip(shards, sha256, strict=True)})
            capacity = report.pop("capacity")
            counts = {"kept": int(keep.sum()), "images": len(keep), "capacity": capacity}
            artifacts.write_json(REPORT, report | counts)
        ranks.publish(audited, AUDITED)
        ranks.publish(judged, JUDGED)
    return closing_line(artifacts.read_json(REPORT))


def closing_line(report: Mapping[str, Any]) -> str:
    """Return what the stage says at its end."""
    packed = report["fidelity"]["packed"]
    fidelity, top1 = packed["recogniser"]["image"]["value"], packed["judge"]["top1"]["value"]
    summary = f"fidelity {fidelity:.3f}, judged top-1 {top1:.3f}"
    return f"audit: {summary}, kept {report['kept']} of {report['images']} images -> {REPORT}"


if __name__ == "__main__":
    stage.run(main)
