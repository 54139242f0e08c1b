"""Measure the generated images with the recogniser that they were made for, and with a judge that took no part.

reads   data/generate/, data/gallery/, data/embed/ x_ref, data/pack/ x_id; both networks; unrelated
        people of a set, where params say so; params audit, embed, world
writes  data/audit/recogniser.npy, judge.npy   embeddings (plain images, d) of the images of data/generate
        data/audit/images.arrow   each plain and mixed image of data/generate: where it is, how it was made, its row in
                                  the embeddings, whether the filter keeps it; columns in stages/common/tables.py
        data/audit/confused-KIND.npy   (N - 1, 3) share of confused probes among N = 2, 3, ... identities, low, high
        data/audit/shards.json   sha256 of the shards audited: later stages depend on the images through this file
        reports/audit.json
"""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from stages.auditing import attributes, faces, images, measures
from stages.auditing.faces import Numbered
from stages.common import artifacts, params, recognisers, sphere, stage, tables
from stages.common.images import Shards
from stages.common.networks import Recogniser
from stages.common.params import Network
from stages.common.world import World
from stages.metrics.faces import Faces
from stages.settings.audit import Audit

GENERATED = Path("data/generate")


def fidelities(
    recogniser: Recogniser, by_judge: dict[str, Numbered], gallery: np.ndarray, drawn: np.ndarray, seed: int
) -> dict[str, Any]:
    """Return how faithfully packed and gallery rows were drawn, by both networks.

    gallery: the judge's rows of its faces; drawn: the packed row of each identity.
    """
    fidelity = {}
    for name, (folder, row) in {"packed": ("data/pack", "x_id"), "gallery": ("data/embed", "x_ref")}.items():
        control, _ = faces.control(recogniser, name)
        x = artifacts.read_rows(folder, row, recogniser.embedding_size)[0]
        x = (x[drawn] if name == "packed" else x)[: control.people]
        judge = measures.judged(*by_judge[name], seed)
        if name == "gallery":  # only here does the judge have the face that the image should show
            judge["to_the_face"] = measures.fidelity(by_judge[name][0], gallery[: len(x)], seed)
        fidelity[name] = {"recogniser": measures.fidelity(control, x, seed), "judge": judge}
    return fidelity


def write(raw: dict[str, np.ndarray], table: pa.Table, curves: dict[str, np.ndarray]) -> None:
    """Write data/audit: embeddings, the table of images, curves of confused probes, the digests of the shards."""
    arrays = {**raw, **{f"confused-{kind}": share for kind, share in curves.items()}}
    with artifacts.output_folder("data/audit") as folder:
        for name, array in arrays.items():
            artifacts.write_array(folder / f"{name}.npy", array)
        tables.write(folder / "images.arrow", table)
        audited = sorted(table["shard"].unique().to_pylist())
        artifacts.write_json(folder / "shards.json", {name: artifacts.digest(GENERATED / name) for name in audited})


def main() -> str:
    """Run the stage."""
    cfg, world = params.load("audit", Audit), params.load("world", World)
    named = {"recogniser": params.load("embed", Network), "judge": cfg.judge}
    networks = {name: recognisers.load(network) for name, network in named.items()}
    recogniser, judge = networks.values()
    table, people = images.drawn(GENERATED), faces.unrelated_people(cfg, world)
    shards, drawn = Shards(GENERATED, "plain-*.arrow"), artifacts.read_array(GENERATED / "rows.npy")
    raw = {name: faces.embedded(network, shards) for name, network in networks.items()}
    plain = {name: Faces(x, shards.column("identity")) for name, x in raw.items()}
    gallery = sphere.unit_rows(faces.embedded(judge, Shards("data/gallery")))
    control = {name: faces.control(judge, name) for name in ("packed", "gallery", "gaussian")}
    unrelated = dict(zip(networks, faces.unrelated([recogniser, judge], people), strict=True))
    keep = measures.kept(plain["judge"], cfg.min_centre_cosine)
    capacity, curves = measures.capacities({**control, "unrelated": unrelated["judge"]}, unrelated["judge"][0], cfg)
    report = {
        "fidelity": fidelities(recogniser, control, gallery, drawn, cfg.seed),
        "separation": {name: measures.separation(x) for name, x in plain.items()},
        "spread": {name: measures.spread(x, cfg.seed) for name, x in plain.items()},
        "dimension": {
            "packed": {name: measures.dimension(x) for name, x in plain.items()},
            "unrelated": {name: measures.dimension(x) for name, (x, _) in unrelated.items()},
        },
        "leakage": measures.leakage(plain["judge"], gallery, unrelated["judge"][0], cfg),
        "near_duplicates": measures.near_duplicates(plain["judge"], cfg.duplicate_cosine),
        "attributes": attributes.measured(
            {
                "recogniser": (recogniser, artifacts.read_rows("data/pack", "x_id")[0][drawn]),
                "judge": (judge, plain["judge"].centres),
            }
        ),
        "kept": int(keep.sum()),
        "images": len(keep),
        "capacity": capacity,
    }
    write(raw, images.kept(table, keep), curves)
    artifacts.write_json("reports/audit.json", report)
    packed = report["fidelity"]["packed"]
    fidelity, top1 = packed["recogniser"]["image"]["value"], packed["judge"]["top1"]["value"]
    summary = f"fidelity {fidelity:.3f}, judged top-1 {top1:.3f}"
    return f"audit: {summary}, kept {keep.sum()} of {len(keep)} images -> reports/audit.json"


if __name__ == "__main__":
    stage.run(main)
