"""Measure the generated images with the recogniser they were made for and with a judge that was not.

reads   data/generate/, data/gallery/, data/embed/ x_ref, data/pack/ x_id, data/pretrain/; params audit, world
writes  data/audit/recogniser.npy, judge.npy   embeddings (plain images, d) of the images of data/generate
        data/audit/kept_plain.npy, kept_mixup.npy   which images the filter keeps (images,)
        data/audit/confused-KIND.npy   (N - 1, 3) share of confused probes among N = 2, 3, ... identities, low, high
        data/audit/shards.json   sha256 of the shards audited: what follows depends on the images through it
        reports/audit.json
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from stages import recognisers
from stages.common import artifacts, params, sphere, stage
from stages.common.images import Shards
from stages.metrics import capacity, clustered
from stages.metrics.dimension import participation_ratio
from stages.recognisers import Recogniser
from stages.settings.audit import Audit
from stages.settings.world import World
from stages.world.album import portraits

CALIBRATION_IMAGES = 4
PART = 512  # images rendered or embedded between two steps of the progress bar


@dataclass(frozen=True)
class Faces:
    """Embedded images of one kind: unit rows x (b, d) and whom they show (b,)."""

    x: np.ndarray
    identity: np.ndarray


def fidelity(faces: Faces, x_id: np.ndarray, seed: int) -> dict[str, Any]:
    """Return cos(F(G(x)), x) per image and of identity centres, and top-1 among all rows, with intervals."""
    cosine = np.einsum("bd,bd->b", faces.x, x_id[faces.identity])
    x_centre = centres(faces, len(x_id))
    top1 = (faces.x @ x_id.T).argmax(1) == faces.identity
    return {
        "image": clustered.mean(cosine, faces.identity, seed),
        "centre": clustered.mean(np.einsum("md,md->m", x_centre, x_id), np.arange(len(x_id)), seed),
        "top1": clustered.mean(top1, faces.identity, seed),
    }


def centres(faces: Faces, m: int) -> np.ndarray:
    """Return the unit mean row of each of m identities (m, d)."""
    total = np.zeros((m, faces.x.shape[1]))
    np.add.at(total, faces.identity, faces.x)
    return sphere.unit_rows(total)


def enrolled_top1(faces: Faces, index: np.ndarray, seed: int) -> dict[str, float]:
    """Return top-1 among the identities when the first half of each one's images is enrolled, the rest probes."""
    first = index < (index.max() + 1) // 2
    x_enrolled = centres(Faces(faces.x[first], faces.identity[first]), int(faces.identity.max()) + 1)
    right = (faces.x[~first] @ x_enrolled.T).argmax(1) == faces.identity[~first]
    return clustered.mean(right, faces.identity[~first], seed)


def to_the_others(faces: Faces, seed: int) -> dict[str, float]:
    """Return the mean cosine of an image to the centre of its identity's other images.

    This is how surely the judge sees one person in what was drawn of a row that it does not know itself.
    """
    total = np.zeros((int(faces.identity.max()) + 1, faces.x.shape[1]))
    np.add.at(total, faces.identity, faces.x)
    others = sphere.unit_rows(total[faces.identity] - faces.x)
    return clustered.mean(np.einsum("bd,bd->b", faces.x, others), faces.identity, seed)


def separation(faces: Faces) -> dict[str, float]:
    """Return how near the nearest other identity's centre is: mean, 95th percentile and maximum of the cosine."""
    _, cosine = sphere.nearest(centres(faces, int(faces.identity.max()) + 1))
    return {"mean": cosine.mean(), "p95": np.quantile(cosine, 0.95), "max": cosine.max()}


def dimension(faces: Faces) -> float:
    """Return the participation ratio of the identities' centres."""
    return participation_ratio(centres(faces, int(faces.identity.max()) + 1))


def spread(faces: Faces, seed: int) -> dict[str, float]:
    """Return the mean cosine between two images of one identity."""
    m = int(faces.identity.max()) + 1
    count = np.bincount(faces.identity, minlength=m)
    total = np.zeros((m, faces.x.shape[1]))
    np.add.at(total, faces.identity, faces.x)
    several = count > 1
    norm = np.square(total[several]).sum(1)
    mean = (norm - count[several]) / (count[several] * (count[several] - 1))
    return clustered.mean(mean, np.flatnonzero(several), seed)


def leakage(judged: Faces, gallery: np.ndarray, unrelated: Faces, cfg: Audit) -> dict[str, Any]:
    """Return the share of images that the judge takes for someone of the gallery, beside that of unrelated people.

    Unrelated people are unseen ones of the same domain. On one half of them the threshold is set such that
    `false_match_rate` of the images come nearer than that to someone of the whole gallery (a threshold for single
    pairs would say little: the nearest of many is near); the other half gives the rate beside which to read the
    generated images'.
    """
    first = unrelated.identity < (unrelated.identity.max() + 1) // 2
    nearest = sphere.nearest(unrelated.x, gallery)[1]
    threshold = float(np.quantile(nearest[first], 1 - cfg.false_match_rate))
    leaked = sphere.nearest(judged.x, gallery)[1] > threshold
    return {
        "threshold": threshold,
        "false_match_rate": cfg.false_match_rate,
        "rate": clustered.mean(leaked, judged.identity, cfg.seed),
        "unrelated_rate": clustered.mean(nearest[~first] > threshold, unrelated.identity[~first], cfg.seed),
    }


def capacities(control: dict[str, tuple[Faces, np.ndarray]], unrelated: Faces, cfg: Audit,
               folder: Path) -> dict[str, Any]:  # fmt: skip
    """Return how many identities of each kind of row fit, of those that were drawn, by the judge.

    control: each kind's faces and their index within the identity (b,). Unrelated people stand beside them: what the
    face world itself gives. Shares of confused probes by the number of identities are written to `folder`.
    """
    limit = cfg.capacity
    cosine, accepted = capacity.threshold(unrelated.x, unrelated.identity, limit.false_match_rate)
    index = np.arange(len(unrelated.x)) % CALIBRATION_IMAGES
    found: dict[str, Any] = {"threshold": cosine, "true_match_rate": accepted, **asdict(limit)}
    for name, (faces, number) in {**control, "unrelated": (unrelated, index)}.items():
        count, probe = capacity.confusions(faces.x, faces.identity, number, cosine)
        people = int(faces.identity.max()) + 1
        share = capacity.curve(count, probe, people, cfg.seed)
        artifacts.write_array(folder / f"confused-{name}.npy", share)
        value, low, high = share.T
        fits = {key: capacity.fitting(c, limit.confused) for key, c in (("value", value), ("low", high), ("high", low))}
        found[name] = {"drawn": people, "identities": fits}
    return found


def near_duplicates(faces: Faces, cosine: float) -> dict[str, float]:
    """Return how many pairs of images of different identities are closer than `cosine`, and their share."""
    found = 0
    for start in range(0, len(faces.x), sphere.TILE):
        part = slice(start, start + sphere.TILE)
        close = faces.x[part] @ faces.x[start:].T > cosine  # (tile, rest)
        found += int(np.triu(close & (faces.identity[part, None] != faces.identity[None, start:]), 1).sum())
    size = np.bincount(faces.identity).astype(np.float64)
    pairs = (len(faces.x) ** 2 - np.square(size).sum()) / 2
    return {"pairs": found, "rate": found / pairs}


def kept(faces: Faces, minimum: float) -> np.ndarray:
    """Return which images (b,) are at least `minimum` near their identity's centre."""
    x_centre = centres(faces, int(faces.identity.max()) + 1)
    return np.einsum("bd,bd->b", faces.x, x_centre[faces.identity]) >= minimum


def _embedded(recogniser: Recogniser, shards: Shards) -> tuple[np.ndarray, Faces]:
    raw = _in_parts(len(shards), "embed", lambda part: recogniser.embed(shards.faces(np.arange(len(shards))[part])))
    return raw, Faces(sphere.unit_rows(raw), shards.column("identity"))


def _calibration(networks: Sequence[Recogniser], cfg: Audit, world: World) -> list[Faces]:
    people = cfg.calibration_identities
    album = portraits("calibration", cfg.seed, people, CALIBRATION_IMAGES, "studio", world.studio_spread)

    def rows_of(part: slice) -> np.ndarray:
        faces = album.faces(part, world.size_px)
        return np.stack([network.embed(faces) for network in networks], 1)

    raw = _in_parts(len(album.z), "calibrate", rows_of)  # (images, networks, d)
    return [Faces(sphere.unit_rows(x), album.rows.identity) for x in raw.swapaxes(0, 1)]


def _in_parts(count: int, label: str, rows_of: Callable[[slice], np.ndarray]) -> np.ndarray:
    starts = tqdm(range(0, count, PART), label, mininterval=1, ncols=80, file=sys.stdout, disable=count < 2 * PART)
    return np.concatenate([rows_of(slice(start, start + PART)) for start in starts])


def main() -> str:
    """Run the stage."""
    cfg, world = params.load("audit", Audit), params.load("world", World)
    recogniser, judge = (
        recognisers.load("embedded", f"data/pretrain/{n}.safetensors") for n in ("recogniser", "judge")
    )
    x_id, x_ref = artifacts.read_rows("data/pack", "x_id")[0], artifacts.read_rows("data/embed", "x_ref")[0]
    plain, mixup = Shards("data/generate", "plain-*.arrow"), Path("data/generate").glob("mixup-*.arrow")
    raw, embedded = _embedded(recogniser, plain)
    judge_raw, judged = _embedded(judge, plain)
    gallery = sphere.unit_rows(judge.embed(Shards("data/gallery").faces()))
    report: dict[str, Any] = {"fidelity": {}}
    control: dict[str, tuple[Faces, np.ndarray]] = {}
    for name, rows in (("packed", x_id), ("gallery", x_ref), ("gaussian", None)):
        shards = Shards("data/generate", f"control-{name}-*.arrow")
        by_judge, index = control[name] = _embedded(judge, shards)[1], shards.column("index")
        if rows is None:  # nothing else is made of these
            continue
        few = int(by_judge.identity.max()) + 1
        report["fidelity"][name] = {
            "recogniser": fidelity(_embedded(recogniser, shards)[1], rows[:few], cfg.seed),
            "judge": {
                "to_the_others": to_the_others(by_judge, cfg.seed),
                "top1": enrolled_top1(by_judge, index, cfg.seed),
            },
        }
        if name == "gallery":  # only here does the judge know the face that was asked for
            report["fidelity"][name]["judge"]["to_the_face"] = fidelity(by_judge, gallery[:few], cfg.seed)
    faces_of = {"recogniser": embedded, "judge": judged}
    report["separation"] = {name: separation(faces) for name, faces in faces_of.items()}
    report["spread"] = {name: spread(faces, cfg.seed) for name, faces in faces_of.items()}
    known, unrelated = _calibration([recogniser, judge], cfg, world)
    report["dimension"] = {
        "packed": {name: dimension(faces) for name, faces in faces_of.items()},
        "unrelated": {"recogniser": dimension(known), "judge": dimension(unrelated)},
    }
    report["leakage"] = leakage(judged, gallery, unrelated, cfg)
    report["near_duplicates"] = near_duplicates(judged, cfg.duplicate_cosine)
    keep = kept(judged, cfg.min_centre_cosine)
    report |= {"kept": int(keep.sum()), "images": len(keep)}
    with artifacts.output_folder("data/audit") as folder:
        report["capacity"] = capacities(control, unrelated, cfg, folder)
        artifacts.write_array(folder / "recogniser.npy", raw)
        artifacts.write_array(folder / "judge.npy", judge_raw)
        artifacts.write_array(folder / "kept_plain.npy", keep)
        audited = sorted(f for kind in ("plain", "mixup") for f in Path("data/generate").glob(f"{kind}-*.arrow"))
        artifacts.write_json(folder / "shards.json", {file.name: artifacts.digest(file) for file in audited})
        if list(mixup):  # a mixed image has no centre of its own to be near to
            artifacts.write_array(
                folder / "kept_mixup.npy", np.ones(len(Shards("data/generate", "mixup-*.arrow")), bool)
            )
    artifacts.write_json("reports/audit.json", report)
    packed = report["fidelity"]["packed"]
    found = (
        f"fidelity {packed['recogniser']['image']['value']:.3f}, judged top-1 {packed['judge']['top1']['value']:.3f}"
    )
    return f"audit: {found}, kept {keep.sum()} of {len(keep)} images -> reports/audit.json"


if __name__ == "__main__":
    stage.run(main)
