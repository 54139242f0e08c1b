"""Write the inputs of `report`, of any size, with the writers of the stages that hand them over."""

from collections.abc import Callable, Sequence
from pathlib import Path

import audited
import numpy as np
import pyarrow as pa
import torch
from ruamel.yaml import YAML
from tiny import ROOT, working_in

from stages.backbones.compact import Compact
from stages.common import artifacts, images, networks, sphere, tables
from stages.common.params import read
from stages.metrics import bootstrap
from stages.metrics.bootstrap import Estimate, Pairs

CONTROL = ("packed", "gallery", "gaussian", "unrelated")
D = 16
FARS = [0.01, 0.001]
CAPS = {"tau": 0.51, "rho_deg": 9.87, "d": D, "fewest_log10": 2.0, "most_log10": 12.345}
NO_CAPS = {"tau": 0.51, "rho_deg": 33.3, "d": D, "fewest_log10": None, "most_log10": None}
PROTOCOLS = {"lfw": "wild", "cfp-fp": "wild", "syn-lfw": "studio"}
PLAIN = {"source": "audit", "mix": "none", "width": 6, "depth": 4}
VARIANTS = {
    "base": PLAIN,
    "identity-mixup": {**PLAIN, "mixup": True},
    "domain-mixup": {**PLAIN, "mix": "sets/wild", "mixed": 2, "mix_depth": 4},
    "augmented": {**PLAIN, "augment": True},
    "wild": {**PLAIN, "source": "sets/wild"},
}
SKILL = {"base": 1.0, "identity-mixup": 1.0, "domain-mixup": 1.6, "augmented": 1.2, "wild": 2.6}  # on wild pairs
CONTRASTS = {
    "gap": {"of": "wild", "against": "base", "on": "wild", "minus": "syn-lfw", "expected": 1},
    "mixup": {"of": "domain-mixup", "against": "base", "on": "wild", "expected": 1},
    "augmented": {"of": "augmented", "against": "base", "on": "lfw", "expected": 0},
}
POSES = {"identities": 2, "yaw_deg": [-30, 0, 30], "pitch_deg": 0, "tolerance_deg": 3}
FAILED = 1  # image of the first identity that did not get its pose
Photographer = Callable[[str, np.ndarray, np.ndarray], np.ndarray]


def noise_faces(domain: str, identity: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Return faces (b, 16, 16, 3) of coarse noise that identity and index determine."""
    rng = [np.random.default_rng([len(domain), i, j]) for i, j in zip(identity, index, strict=True)]
    return np.stack([np.kron(r.integers(40, 220, (4, 4, 3)), np.ones((4, 4, 1))) for r in rng]).astype(np.uint8)


def write_project(
    root: Path,
    *,
    seeds: Sequence[int] = (0, 1),
    people: int = 20,
    pairs: int = 600,
    replicates: int = 20,
    variants: dict = VARIANTS,
    skill: dict = SKILL,
    protocols: dict = PROTOCOLS,
    photograph: Photographer = noise_faces,
    gallery: int = 30,
    params: dict | None = None,
) -> None:
    """Write params.yaml, data/ and reports/ into `root`; `skill` says how well each variant does on wild pairs."""
    values = params or _params(seeds, replicates, variants)
    YAML().dump(values, root / "params.yaml")
    _write_images(root / "data", values, photograph)
    _write_identities(root, values, gallery)
    for name in variants:
        _write_manifest(root / "data", name, variants[name], photograph)
        _write_scores(root, name, seeds, people, pairs, values["evaluate"], skill[name], protocols)


def _params(seeds: Sequence[int], replicates: int, variants: dict) -> dict:
    committed = read(ROOT / "params.yaml")
    return {
        "embed": committed["embed"],
        "pack": {
            "method": "hyperface", "identities": 6, "alpha": 0.5, "separation": "closest", "start": "selected",
            "iterations": 5, "tolerance": 0.0, "max_cosine": 0.4, "crowded_cosine": 0.5, "seed": 0,
        },
        "generate": {
            **committed["generate"], "depths": {"identities": [6], "images": [4]},
            "perturbation": "beta", "noise": {"beta": 0.1, "sigma": [0.3], "share": [1]},
            "mixup": {"identities": 6, "images": 4},
            "control": {"identities": 2, "images": 2}, "poses": POSES,
        },
        "sets": {"wild": {"backend": "embedded", "path": "none", "identities": 6, "images": 4, "seed": 0}},
        "variants": variants,
        "train": {"seeds": list(seeds), "samples": 64, "epochs": 0},
        "evaluate": {"rates": {"fars": FARS}, "confidence": 0.95, "replicates": replicates, "seed": 0},
        "report": {
            "figures": {"sheet": {"identities": 2, "images": 3}, "map": {"identities": 3, "images": 4}},
            "contrasts": CONTRASTS,
        },
    }  # fmt: skip


def _write_images(data: Path, values: dict, photograph: Photographer) -> None:
    depths = values["generate"]["depths"]
    entries = list(zip(depths["identities"], depths["images"], strict=True))
    depth = [max(images for people, images in entries if i < people) for i in range(max(depths["identities"]))]
    mixup, wild = values["generate"]["mixup"], values["sets"]["wild"]
    _write_shard(data / "generate" / "plain-00000.arrow", depth, "studio", photograph)
    _write_shard(data / "generate" / "mixup-00000.arrow", [mixup["images"]] * mixup["identities"], "studio", photograph)
    identity, index = (
        np.delete(grid.ravel(), FAILED) for grid in np.mgrid[: POSES["identities"], : len(POSES["yaw_deg"])]
    )
    _write_images_of(data / "generate" / "poses-00000.arrow", identity, index, "studio", photograph)
    _write_shard(data / "sets" / "wild" / "wild-00000.arrow", [wild["images"]] * wild["identities"], "wild", photograph)


def _write_shard(file: Path, depth: list[int], domain: str, photograph: Photographer) -> None:
    identity = np.repeat(np.arange(len(depth)), depth)
    _write_images_of(file, identity, np.concatenate([np.arange(k) for k in depth]), domain, photograph)


def _write_images_of(
    file: Path, identity: np.ndarray, index: np.ndarray, domain: str, photograph: Photographer
) -> None:
    faces = photograph(domain, identity, index)
    images.write_shard(file, list(faces), identity=identity, index=index, seed=index, domain=domain)


def _write_identities(root: Path, values: dict, gallery: int) -> None:
    rng = np.random.default_rng(0)
    m, shards = values["pack"]["identities"], images.Shards(root / "data" / "generate", "plain-*.arrow")
    x_id, x_ref = (sphere.unit_rows(rng.standard_normal((n, D))) for n in (m, gallery))
    artifacts.write_rows(root / "data" / "pack", "x_id", x_id, np.ones(m))
    artifacts.write_json(root / "data" / "pack" / "course.json", [[0, 0.9], [25, -0.4], [30, -0.51]])
    artifacts.write_json(root / "data" / "pack" / "front.json", front())
    artifacts.write_rows(root / "data" / "embed", "x_ref", x_ref, np.ones(gallery))
    identity = shards.column("identity")
    raw = {}
    for name, spread in (("recogniser", 0.1), ("judge", 0.2)):
        x = 3 * (x_id[identity] + spread * rng.standard_normal((len(identity), D)))
        raw[name] = x.astype(np.float32)
    with working_in(root):
        audited.write({"plain": None, "mixup": values["generate"]["mixup"]["identities"]}, **raw)
    for name in CONTROL:
        share = np.sort(rng.uniform(0, 0.1, 5))
        curve = np.column_stack([share, 0.8 * share, 1.2 * share])
        artifacts.write_array(root / "data" / "judged" / f"confused-{name}.npy", curve)
    card = {"architecture": "compact", "widths": [16] * 4, "embedding_size": D, "size_px": 16, "colour": "rgb"}
    torch.manual_seed(0)
    networks.save(root / "data" / "pretrain" / "recogniser", Compact([16] * 4, D, 16, 3), card)
    artifacts.write_json(root / "reports" / "pack.json", pack_report())
    artifacts.write_json(root / "reports" / "audit.json", audit_report())
    share = {"value": 0.81, "low": 0.78, "high": 0.84}
    own = {name: {"accuracy": {**share, "per_seed": [0.81]}} for name in ("home", "home-centred")}
    artifacts.write_json(root / "reports" / "baselines.json", {"pixels": own, "untrained": own})


def pack_report() -> dict:
    """Return figures in the shape of reports/pack.json."""
    terms = {"objective": 0.51, "separation": -0.61, "gallery_term": 0.2}
    bound = {"embedding_size": D, "bound": -0.2, "gap_deg": 30.037, "crowded": 0.25}
    near = {"min": 71.5, "p50": 74.0}
    return {"method": "hyperface", "identities": 6, **terms, **bound, "nearest_deg": near, "start": terms}


def front() -> dict:
    """Return what data/pack/front.json holds of the packing above, whose own point is that of alpha 0.5."""
    ends = {0: (-0.9, 0.6), 0.5: (-0.61, 0.2), 1: (-0.3, 0.1)}
    points = [{"alpha": a, "closest": x, "mean": x - 0.01, "gallery_term": term} for a, (x, term) in ends.items()]
    return {"identities": 6, "gallery": 30, "points": points}


def audit_report() -> dict:
    """Return figures in the shape of reports/audit.json."""
    share, chance = {"value": 0.81, "low": 0.78, "high": 0.84}, {"value": 0.05, "low": 0.03, "high": 0.08}
    rows = {"recogniser": {"image": share, "top1": share}, "judge": {"to_the_others": share, "top1": share}}
    dimension = {"recogniser": 12.34, "judge": 5.678}
    return {
        "fidelity": {"packed": rows, "gallery": rows},
        "separation": {"judge": {"mean": 0.31, "p95": 0.4, "max": 0.52}},
        "spread": {"recogniser": share, "judge": share},
        "dimension": {"packed": dimension, "unrelated": dimension},
        "leakage": {"threshold": 0.44, "false_match_rate": 0.001, "rate": share, "unrelated_rate": chance},
        "near_duplicates": {"pairs": 3, "rate": 1.2e-7},
        "attributes": {
            "poses": {
                "asked": 6,
                "drawn": 5,
                "yaw_error_deg": {"mean": 1.52, "max": 2.93},
                "pitch_error_deg": {"mean": 0.84, "max": 2.16},
                "cosine": {"recogniser": 0.77, "judge": 0.86},
            }
        },
        "kept": 24,
        "images": 24,
        "capacity": {
            "threshold": 0.51,
            "true_match_rate": 0.9,
            "false_match_rate": 0.001,
            "confused": 0.05,
            **{name: {"drawn": 6, "identities": {"value": 4, "low": 3, "high": 6}, "caps": CAPS} for name in CONTROL},
            "gaussian": {"drawn": 6, "identities": {"value": 4, "low": 3, "high": 6}, "caps": NO_CAPS},
        },
    }


def witness_report() -> dict:
    """Return figures in the shape of the branch `witness` of reports/audit.json, which is there where there is one."""
    capacity = audit_report()["capacity"]
    fits = {"packed": (3, 2, 5), "gallery": (2, 1, 3), "gaussian": (1, 1, 2), "unrelated": (2, 2, 3)}
    for kind, numbers in fits.items():
        entry = {"drawn": 6, "identities": dict(zip(("value", "low", "high"), numbers, strict=True)), "caps": NO_CAPS}
        capacity[kind] = entry
    top1 = {"value": 0.61, "low": 0.58, "high": 0.64}
    return {
        "recogniser": "dlib",
        "fidelity": {kind: {"to_the_others": top1, "top1": top1} for kind in fits if kind != "unrelated"},
        "capacity": capacity | {"threshold": 0.977, "true_match_rate": 0.75},
        "usual_threshold": {"distance": 0.6, "taken_for_one": 0.82},
    }


def _write_manifest(data: Path, name: str, cfg: dict, photograph: Photographer) -> None:
    kind, domain = ("mixup", "generate") if cfg.get("mixup") else ("plain", "generate")
    parts = [(domain, kind, cfg["width"], cfg["depth"], 0, "main")]
    if cfg["source"] == "sets/wild":
        parts = [("sets/wild", "wild", cfg["width"], cfg["depth"], 0, "main")]
    if cfg["mix"] != "none":
        parts.append(("sets/wild", "wild", cfg["mixed"], cfg["mix_depth"], cfg["width"], "mix"))
    chosen = []
    for folder, prefix, width, depth, first, part in parts:
        shards = images.Shards(data / folder, f"{prefix}-*.arrow")
        identity = shards.column("identity")
        rank = np.arange(len(identity)) - np.searchsorted(identity, identity)
        row = np.flatnonzero((identity < width) & (rank < depth))
        label = (identity[row] + first).astype(np.int32)
        columns = {
            "set": [folder] * len(row),
            "shard": [f"{prefix}-00000.arrow"] * len(row),
            "row": row.astype(np.int32),
        }
        more = {"label_a": label, "label_b": label, "weight": np.ones(len(row)), "domain": [part] * len(row)}
        chosen.append(tables.of(tables.MANIFEST, {**columns, **more}))
    write_arrow(data / "variants" / name / "manifest.arrow", pa.concat_tables(chosen).unify_dictionaries())


def write_arrow(file: Path, table: pa.Table) -> None:
    """Write an Arrow IPC file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


def pairs_of(protocol: str, people: int, count: int) -> Pairs:
    """Return `count` pairs among `people`; syn-lfw has those of lfw, and their draws."""
    key = "lfw" if protocol == "syn-lfw" else protocol
    rng = np.random.default_rng(len(key))
    same = np.arange(count) % 2 == 0
    a = rng.integers(people, size=count)
    b = np.where(same, a, (a + rng.integers(1, people, count)) % people)
    return Pairs(same, np.arange(count) * 10 // count, a.astype(np.int32), b.astype(np.int32))


def accuracy(value: float, seeds: int, replicates: np.ndarray) -> Estimate:
    """Return the estimate of an accuracy that is the same for all seeds."""
    return Estimate(("accuracy",), np.full((seeds, 1), value), replicates[:, None])


def _write_scores(
    root: Path, name: str, seeds: Sequence[int], people: int, count: int, cfg: dict, skill: float, protocols: dict
) -> None:
    from stages.metrics.scoring import summary

    report, replicates, wild = {}, {}, []
    for number, (protocol, domain) in enumerate(protocols.items()):
        pairs = pairs_of(protocol, people, count)
        hard = np.random.default_rng([7, number % 5]).standard_normal(count)  # what every recogniser finds in a pair
        score = [
            0.15 * (hard + np.random.default_rng([s, len(name), number]).standard_normal(count))
            + 0.15 * pairs.same * (skill if domain == "wild" else 2.6)
            for s in seeds
        ]
        score = np.stack(score).astype(np.float32)
        estimate = bootstrap.estimate(score, pairs, cfg["rates"]["fars"], cfg["replicates"], cfg["seed"])
        report[protocol] = {
            "domain": domain,
            "pairs": count,
            "impostors": int((~pairs.same).sum()),
            "identities": people,
            **summary(estimate, cfg["confidence"]),
        }
        for metric, replicated in zip(estimate.names, estimate.replicates.T, strict=True):
            replicates[f"{protocol}/{metric}"] = np.concatenate(bootstrap.parts(replicated)).astype(np.float32)
        wild += [estimate] if domain == "wild" else []
        columns = {
            "same": pairs.same,
            "fold": pairs.fold,
            "identity_a": pairs.identity_a,
            "identity_b": pairs.identity_b,
        }
        each = {f"seed_{seed}": row for seed, row in zip(seeds, score, strict=True)}
        write_arrow(root / "data" / "evaluate" / name / f"{protocol}.arrow", pa.table({**columns, **each}))
    write_arrow(root / "data" / "evaluate" / name / "replicates.arrow", pa.table(replicates))
    mean = summary(bootstrap.mean(wild), cfg["confidence"])
    sections = {"protocols": report, "groups": {}, "templates": {}}
    body = {"variant": name, "seeds": list(seeds), **sections, "wild_mean": mean}
    artifacts.write_json(root / "reports" / "evaluate" / f"{name}.json", body)
