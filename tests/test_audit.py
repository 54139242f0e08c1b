"""The audit's measures on known answers, and on the chain."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import audited
import numpy as np
import pandas as pd
import pyarrow.compute as pc
import pytest
import variant
from refusal import refused
from tiny import TINY, params, run, working_in, write_params

from stages.auditing import images, measures
from stages.auditing.faces import unrelated_people
from stages.common import artifacts, catalogue, sphere, tables
from stages.common.images import Shards
from stages.common.images import write_shard as write_images
from stages.common.params import Network, check
from stages.common.world import World
from stages.metrics.faces import Faces
from stages.settings.audit import Audit, Capacity, Unrelated, Witness

CFG = Audit(
    min_centre_cosine=-1.0, false_match_rate=0.01, duplicate_cosine=0.98, calibration_identities=9,
    judge=Network(recogniser="embedded", network="pretrain/judge"),
    witness=Witness(recogniser="none", network="none"),
    unrelated=Unrelated(backend="embedded", path="none"),
    capacity=Capacity(false_match_rate=0.01, confused=0.05), seed=0,
)  # fmt: skip
WORLD = check("world", params({})["world"], World)


def clusters(people: int, images: int, noise: float, d: int = 32, seed: int = 0) -> tuple[Faces, np.ndarray]:
    rng = np.random.default_rng(seed)
    x_id = sphere.unit_rows(rng.standard_normal((people, d)))
    who = np.repeat(np.arange(people), images)
    return Faces(sphere.unit_rows(x_id[who] + noise * rng.standard_normal((len(who), d))), who), x_id


def test_fidelity_is_one_without_noise_and_falls_with_it():
    exact, x_id = clusters(10, 4, 0.0)
    assert measures.fidelity(exact, x_id, 0)["image"]["value"] == pytest.approx(1)
    noisy, x_id = clusters(10, 4, 0.2)
    found = measures.fidelity(noisy, x_id, 0)
    assert (
        found["image"]["low"] < found["image"]["value"] < found["image"]["high"] < 0.9 < found["centre"]["value"] + 0.1
    )
    assert found["top1"]["value"] == 1
    wrong = Faces(noisy.x, (noisy.identity + 1) % 10)
    assert measures.fidelity(wrong, x_id, 0)["top1"]["value"] == 0


def test_enrolment_compares_with_the_first_half_of_the_images():
    faces, _ = clusters(10, 4, 0.1)
    index = np.tile(np.arange(4), 10)
    assert measures.enrolled_top1(faces, index, 0)["value"] == 1
    shuffled = faces.x.copy()
    shuffled[index >= 2] = np.roll(shuffled[index >= 2], 2, axis=0)  # probes show the neighbour
    assert measures.enrolled_top1(Faces(shuffled, faces.identity), index, 0)["value"] == 0
    shuffled[index == 3] = faces.x[index == 3]
    assert measures.enrolled_top1(Faces(shuffled, faces.identity), index, 0)["value"] == 0.5


def test_an_image_is_compared_with_the_others_of_its_identity_and_not_with_itself():
    x = np.eye(4, dtype=np.float32)
    identity = np.array([0, 0, 1, 1])
    assert measures.to_the_others(Faces(x, identity), 0)["value"] == pytest.approx(0)
    pair = sphere.unit_rows(np.array([[1, 0], [1, 1], [0, 1], [0, 1]], np.float32))
    assert measures.to_the_others(Faces(pair, identity), 0)["value"] == pytest.approx((np.sqrt(0.5) + 1) / 2)


def test_spread_is_the_mean_cosine_within_identities():
    faces, _ = clusters(6, 5, 0.15)
    pairs = [
        faces.x[a] @ faces.x[b]
        for a in range(30) for b in range(a) if faces.identity[a] == faces.identity[b]
    ]  # fmt: skip
    assert measures.spread(faces, 0)["value"] == pytest.approx(np.mean(pairs), abs=1e-5)


def test_separation_finds_the_nearest_other_identity():
    faces, x_id = clusters(6, 3, 0.0)
    cos = x_id @ x_id.T - 2 * np.eye(6)
    assert measures.separation(faces)["max"] == pytest.approx(cos.max(), abs=1e-5)
    assert measures.separation(faces)["mean"] == pytest.approx(cos.max(1).mean(), abs=1e-5)
    assert measures.separation(faces)["p95"] == pytest.approx(np.quantile(cos.max(1), 0.95), abs=1e-5)


def test_leaked_people_are_found_and_unrelated_ones_set_the_rate():
    gallery, _ = clusters(40, 1, 0.0, seed=1)
    unrelated, _ = clusters(40, 4, 0.1, seed=2)
    copied = Faces(gallery.x, np.arange(40))
    leak = measures.leakage(copied, gallery.x, unrelated, CFG)
    assert leak["rate"]["value"] == 1 and leak["unrelated_rate"]["value"] < 0.6
    fresh = measures.leakage(clusters(40, 1, 0.0, seed=3)[0], gallery.x, unrelated, CFG)
    assert fresh["rate"]["value"] < 0.6


@pytest.mark.parametrize("known", [0, 1])
def test_one_half_of_the_unrelated_sets_the_threshold_and_the_other_is_counted(known: int):
    gallery, _ = clusters(40, 1, 0.0, seed=1)
    unrelated, _ = clusters(40, 4, 0.1, seed=2)
    half = unrelated.identity // 20 == known
    unrelated.x[half] = gallery.x[unrelated.identity[half]]  # the people of that half are in the gallery after all
    leak = measures.leakage(Faces(gallery.x, np.arange(40)), gallery.x, unrelated, CFG)
    found = {"threshold": leak["threshold"] > 0.99, "rate": leak["unrelated_rate"]["value"]}
    assert found == ({"threshold": True, "rate": 0} if known == 0 else {"threshold": False, "rate": 1})


def test_unrelated_people_of_a_set_have_two_images_or_more_and_show_at_most_four(tmp_path: Path):
    who = np.array([2, 0, 3, 2, 1, 2, 0, 2, 3, 2, 0, 4, 4])  # in no order, person 1 once
    about = {"identity": who, "index": np.arange(13), "seed": np.arange(13), "domain": "x"}
    write_images(tmp_path / "data/sets/own/00.arrow", list(variant.noise(13)), **about)
    cfg = replace(CFG, unrelated=Unrelated(backend="set", path="sets/own"), calibration_identities=4)
    with working_in(tmp_path):
        people = unrelated_people(cfg, WORLD)
        assert people.identity.tolist() == [0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 3]
        assert people.index.tolist() == [0, 1, 2, 0, 1, 2, 3, 0, 1, 0, 1]
        shown = Shards("data/sets/own").faces([1, 6, 10, 0, 3, 5, 7, 2, 8, 11, 12])
        assert np.array_equal(people.pictures.faces(slice(2, 8)), shown[2:8])
        with refused("params.yaml", key="audit.calibration_identities", value=5):
            unrelated_people(replace(cfg, calibration_identities=5), WORLD)


def test_the_fewest_identities_fit_where_most_may_be_confused():
    index = np.tile(np.arange(4), 40)
    crowded, _ = clusters(40, 4, 0.25, d=8)
    found, curves = measures.capacities({"packed": (crowded, index)}, crowded, CFG)
    fits = found["packed"]["identities"]
    assert 1 <= fits["low"] < fits["value"] < fits["high"] <= 40
    value, low, high = (column <= 0.05 for column in curves["packed"].T)
    assert (fits["value"], fits["low"], fits["high"]) == (1 + value.sum(), 1 + high.sum(), 1 + low.sum())


def test_capacity_of_each_kind_is_of_its_own_images():
    index = np.tile(np.arange(4), 12)
    apart, _ = clusters(12, 4, 0.02)
    alike = Faces(sphere.unit_rows(apart.x + 3 * np.eye(32)[0]), apart.identity)
    unrelated, _ = clusters(12, 4, 0.02, seed=2)
    found, curves = measures.capacities({"packed": (apart, index), "gallery": (alike, index)}, unrelated, CFG)
    packed = found["packed"]
    assert packed["drawn"] == 12 and packed["identities"] == {"value": 12, "low": 12, "high": 12}
    assert packed["caps"] == measures.caps(apart, found["threshold"], 0.05)
    assert found["gallery"]["identities"]["value"] == 1
    assert found["true_match_rate"] == 1
    assert curves["gallery"].shape == (11, 3) and (curves["gallery"] == 1).all()


def test_caps_are_as_wide_as_most_images_ask_for():
    about_deg = np.array([10, -10] * 9 + [30, -30])  # of 20 images a tenth lies further out
    angle = np.radians(np.concatenate([about_deg, 180 + about_deg]))
    faces = Faces(np.stack([np.cos(angle), np.sin(angle)], 1), np.repeat([0, 1], 20))
    tau = float(np.cos(np.radians(39.99)))
    found = measures.caps(faces, tau, 0.2)  # on the circle 360 / (39.99 + 2 * 10) caps fit, a little more than 6
    assert found.pop("rho_deg") == pytest.approx(10, rel=1e-5) and found.pop("d") == 2 and found.pop("tau") == tau
    assert found == {"fewest_log10": pytest.approx(np.log10(6)), "most_log10": pytest.approx(np.log10(6))}
    wide = measures.caps(faces, tau, 0.0)  # two images of one cap may be 60 degrees apart and need not match
    assert wide["rho_deg"] == pytest.approx(30, rel=1e-5) and wide["fewest_log10"] is wide["most_log10"] is None


def test_near_duplicates_are_pairs_of_different_identities():
    faces, _ = clusters(8, 2, 0.0)  # two equal images of one identity are no duplicates
    assert measures.near_duplicates(faces, 0.98)["pairs"] == 0
    x = faces.x.copy()
    x[15] = x[0]
    assert measures.near_duplicates(Faces(x, faces.identity), 0.98) == {"pairs": 2, "rate": 2 / 112}


def test_the_filter_drops_what_is_far_from_its_centre():
    faces, _ = clusters(5, 6, 0.05)
    x = faces.x.copy()
    x[7] = -x[7]
    kept = measures.kept(Faces(x, faces.identity), 0.3)
    assert not kept[7] and kept.sum() == 29
    assert measures.kept(faces, -1).all()


def test_the_chain_is_audited_whole(chain: Path):
    report = artifacts.read_json(chain / "reports/audit.json")
    assert report["kept"] == report["images"] == len(artifacts.read_array(chain / "data/judged/judge.npy"))
    for name in ("packed", "gallery"):
        assert set(report["fidelity"][name]) == {"recogniser", "judge"}
    assert set(report["fidelity"]["gallery"]["judge"]["to_the_face"]) == {"image", "centre", "top1"}
    drawn = {name: entry["drawn"] for name, entry in report["capacity"].items() if isinstance(entry, dict)}
    assert drawn == {"packed": 6, "gallery": 6, "gaussian": 6, "unrelated": 12}


def test_a_witness_changes_nothing_but_what_it_says_itself(copy: Path, chain: Path):
    write_params(copy, {**TINY, "audit.witness": {"recogniser": "embedded", "network": "train/wild/seed-0"}})
    run("audit")
    report, before = (artifacts.read_json(root / "reports/audit.json") for root in (copy, chain))
    witness = report.pop("witness")
    assert report == before
    kinds = {name: entry for name, entry in witness["capacity"].items() if isinstance(entry, dict)}
    assert {name: entry["drawn"] for name, entry in kinds.items()} == {
        "packed": 6, "gallery": 6, "gaussian": 6, "unrelated": 12,
    }  # fmt: skip
    assert witness["capacity"]["threshold"] != report["capacity"]["threshold"]
    assert set(witness["fidelity"]) == {"packed", "gallery", "gaussian"} and "usual_threshold" not in witness
    read_by_training = [_digests(root / "data/audit") for root in (copy, chain)]
    assert read_by_training[0] == read_by_training[1]
    made, known = (_digests(root / "data/judged") for root in (copy, chain))
    assert made == known | {name: made[name] for name in (f"witness-confused-{kind}.npy" for kind in kinds)}


def _digests(folder: Path) -> dict[str, str]:
    return {file.name: artifacts.digest(file) for file in folder.iterdir()}


def test_a_filter_that_bites_reaches_the_kept_rows(copy: Path):
    x = sphere.unit_rows(artifacts.read_array(copy / "data/judged/judge.npy"))
    who = Shards(copy / "data/generate", "plain-*.arrow").column("identity")
    to_centre = np.einsum("bd,bd->b", x, Faces(x, who).centres[who])
    write_params(copy, {**TINY, "audit.min_centre_cosine": float(np.median(to_centre))})
    run("audit")
    table = catalogue.audited()
    plain = table.filter(pc.field("kind") == "plain")
    kept = plain["kept"].to_numpy()
    assert kept.tolist() == (to_centre >= np.median(to_centre))[plain["embedding"].to_numpy()].tolist()
    assert 0.3 < kept.mean() < 0.7 and artifacts.read_json(copy / "reports/audit.json")["kept"] == kept.sum()
    assert all(table.filter(pc.field("kind") == "mixup")["kept"].to_pylist())


def test_each_row_of_the_table_is_the_image_that_it_names(chain: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(chain)
    rows, who = catalogue.audited().to_pylist(), Shards("data/generate", "plain-*.arrow").column("identity")
    assert len(rows) == len(who) + 30 and sum(row["kind"] == "plain" for row in rows) == len(who)
    for row in rows:
        shard = Shards("data/generate", row["shard"])
        assert all(shard.column(name)[row["row"]] == row[name] for name in ("identity", "index", "partner", "ratio"))
        assert row["shard"].startswith(row["kind"]) and (row["embedding"] is None) == (row["kind"] == "mixup")
        assert row["embedding"] is None or who[row["embedding"]] == row["identity"]


DRAWN = {"plain": [(2, 0), (0, 1), (1, 0), (0, 0)], "mixup": [(1, 0), (0, 0)], "mixup-1": [(0, 0)]}  # in no order


@pytest.fixture
def generated(tmp_path: Path) -> Iterator[Path]:
    """Work in a folder with shards of two images each and, in yet another order, what is known of them."""
    with working_in(tmp_path):
        for prefix, keys in DRAWN.items():
            for number in range(0, len(keys), 2):
                write_shard(f"{prefix}-{number // 2:05d}", keys[number : number + 2])
        list_images(lambda rows: rows.iloc[::-1])
        yield audited.GENERATED


def write_shard(name: str, keys: list[tuple[int, int]]) -> None:
    identity, index = np.array(keys).T
    blank = [np.zeros((16, 16, 3), np.uint8)] * len(keys)
    about = {"identity": identity, "index": index, "seed": identity, "domain": "x"}
    write_images(audited.GENERATED / f"{name}.arrow", blank, **about)


def list_images(change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    """Write images.feather of all images, as `change` has it."""
    widths = {"plain": None, "mixup": 3, "mixup-1": 1}
    parts = [audited.listed(prefix, width).to_pandas() for prefix, width in widths.items()]
    rows = change(pd.concat(parts, ignore_index=True)).to_dict("series")
    tables.write(audited.GENERATED / "images.feather", tables.of(tables.DRAWN, rows))


def test_what_is_known_of_an_image_is_found_by_its_key(generated: Path):
    rows = images.drawn(generated).to_pylist()
    for prefix, keys in DRAWN.items():
        for number, (identity, index) in enumerate(keys):
            place = {"shard": f"{prefix}-{number // 2:05d}.arrow", "row": number % 2}
            (row,) = [row for row in rows if place.items() <= row.items()]
            assert (row["identity"], row["index"]) == (identity, index)
            if prefix == "plain":
                assert row["cosine"] == audited.told(np.array(identity), np.array(index))
                assert (row["kind"], row["width"], row["embedding"]) == ("plain", None, number)
            else:
                width = {"mixup": 3, "mixup-1": 1}[prefix]
                assert (row["kind"], row["width"], row["embedding"]) == ("mixup", width, None)
    assert len(rows) == sum(map(len, DRAWN.values()))


LACKS = [
    (lambda rows: rows[1:], "images.feather: image 0 of identity 2 .plain. is missing; run `dvc repro generate`"),
    (lambda rows: rows[:-1], "images.feather: image 0 of identity 0 .mixup-1. is missing; run `dvc repro generate`"),
    (
        lambda rows: pd.concat([rows, rows[1:2]]),
        "images.feather: plain: image 1 of identity 0: listed twice; allowed: once",
    ),
]


@pytest.mark.parametrize(("change", "error"), LACKS, ids=["plain", "all of a width", "twice"])
def test_an_image_that_is_not_listed_once_is_refused(generated: Path, change: Any, error: str):
    list_images(change)
    with pytest.raises(ValueError, match=f"^data/generate/{error}[^\n]*$"):
        images.drawn(generated)


SHARDS = [
    ([(0, 0)], "plain-[?]{5}.arrow: image 0 of identity 1 .plain. is missing; run `dvc repro generate`"),
    ([(1, 0), (0, 0), (2, 0)], "plain-[?]{5}.arrow: image 0 of identity 2: listed twice; allowed: once"),
]


@pytest.mark.parametrize(("keys", "error"), SHARDS, ids=["missing", "twice"])
def test_an_image_that_is_not_drawn_once_is_refused(generated: Path, keys: list[tuple[int, int]], error: str):
    write_shard("plain-00001", keys)
    with pytest.raises(ValueError, match=f"^data/generate/{error}[^\n]*$"):
        images.drawn(generated)
