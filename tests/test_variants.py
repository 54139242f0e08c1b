"""A manifest names exactly the rows asked for."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import audited
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from refusal import refused
from tiny import TINY, run, working_in, write_params

from stages import variants
from stages.common import artifacts, images
from stages.common.catalogue import AUDITED, KEY, index_within
from stages.common.images import Shards, write_shard
from stages.common.variants import Variants

PLAIN = Variants(source="sets/a", mix="none", width=3, depth=2)


def write_set(name: str, who: list[int], prefix: str = "faces", **more: Any) -> None:
    """Write a set of two shards of blank faces of these people."""
    identity, half = np.array(who), len(who) // 2
    index = index_within(identity)
    for shard, part in (("00000", slice(half)), ("00001", slice(half, None))):
        images.write_shard(
            f"data/{name}/{prefix}-{shard}.arrow",
            [np.zeros((16, 16, 3), np.uint8)] * len(identity[part]),
            identity=identity[part], index=index[part], seed=identity[part], domain="x",
            **{key: column[part] for key, column in more.items()},
        )  # fmt: skip


def sources(table: pa.Table) -> list[tuple]:
    return [tuple(row.values())[1:5] for row in table.to_pylist()]


def test_the_first_images_of_the_first_people_are_chosen_across_shards(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_set("sets/a", [2, 0, 1, 0, 3, 1, 0, 2, 3, 1])
    found = variants.manifest(PLAIN, "x")
    one, two = "faces-00000.arrow", "faces-00001.arrow"
    assert sources(found) == [
        (one, 0, 2, 2),
        (one, 1, 0, 0),
        (one, 2, 1, 1),
        (one, 3, 0, 0),
        (two, 0, 1, 1),
        (two, 2, 2, 2),
    ]
    assert set(found["set"].to_pylist()) == {"sets/a"} and set(found["weight"].to_pylist()) == {1}


@pytest.mark.parametrize("augment", [False, True])
def test_classes_of_the_mix_follow_those_of_the_source(augment: bool, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_set("sets/a", [0, 0, 1, 1, 2, 2])
    write_set("sets/b", [0, 1, 0, 1, 2, 2])
    found = variants.manifest(replace(PLAIN, mix="sets/b", mixed=2, mix_depth=1, augment=augment), "x")
    assert labels(found).tolist() == [0, 0, 1, 1, 2, 2] and labels(found, "mix").tolist() == [3, 4]
    assert found["set"].to_pylist() == ["sets/a"] * 6 + ["sets/b"] * 2
    assert found["label_b"].equals(found["label_a"])
    about = json.loads(found.schema.metadata[b"variant"])
    assert about["classes"] == 5 and about["augment"] is augment
    assert sorted(about["digests"]) == [f"sets/{s}/faces-0000{i}.arrow" for s, i in (("a", 0), ("a", 1), ("b", 0))]


def test_each_width_is_mixed_from_the_images_that_were_drawn_for_it(copy: Path):
    mixing = {**TINY["variants"]["identity-mixup"], "depth": 2}
    write_params(
        copy,
        {
            **TINY,
            "generate.mixup": {"identities": [10, 4], "images": 3},
            "variants.identity-mixup": mixing,
            "variants.narrow": {**mixing, "width": 4},
        },
    )
    before = [file.read_bytes() for file in sorted(Path("data/generate").glob("mixup-*"))]
    run("generate")
    drawn = {file.name: file.read_bytes() for file in sorted(Path("data/generate").glob("mixup-*"))}
    assert [data for name, data in drawn.items() if name.count("-") == 1] == before  # the first width's stay
    audited.judge()
    for name, width, prefix in (("identity-mixup", 10, "mixup-0"), ("narrow", 4, "mixup-4-0")):
        run(f"variants {name}")
        table = manifest(copy, name)
        assert all(shard.startswith(prefix) for shard in table["shard"].to_pylist())
        assert np.bincount(labels(table)).tolist() == [2] * width and max(table["label_b"].to_pylist()) < width


def test_mixed_identities_come_from_the_mixed_images_and_keep_their_share(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    who = [0, 0, 1, 1, 2, 2, 2]
    ratio = (np.arange(7) / 10).astype(np.float32)
    write_set("generate", who, prefix="mixup", partner=np.array([1, 2, 0, 2, 0, 1, 1]), ratio=ratio)
    audited.write({"mixup": 3})
    audited.revise(lambda images: images.assign(kept=(images["identity"] != 2) | (images["index"] != 0)))
    found = variants.manifest(replace(PLAIN, source="audit", mixup=True), "x")
    assert labels(found).tolist() == [0, 0, 1, 1, 2, 2] and found["label_b"].to_pylist() == [1, 2, 0, 2, 1, 1]
    assert found["weight"].to_pylist() == pytest.approx([0, 0.1, 0.2, 0.3, 0.5, 0.6])
    assert set(found["set"].to_pylist()) == {"generate"}


def manifest(folder: Path, name: str) -> pa.Table:
    return pa.ipc.open_file(str(folder / "data/variants" / name / "manifest.arrow")).read_all()


def labels(table: pa.Table, domain: str = "main") -> np.ndarray:
    mask = np.array(table["domain"].to_pylist()) == domain
    return table["label_a"].to_numpy()[mask]


@pytest.mark.parametrize("name", ["base", "wide", "deep", "wild"])
def test_width_and_depth_are_what_was_asked_for(chain: Path, name: str):
    asked = TINY["variants"][name]
    table = manifest(chain, name)
    assert np.bincount(labels(table)).tolist() == [asked["depth"]] * asked["width"]
    assert table["label_a"].equals(table["label_b"]) and (table["weight"].to_numpy() == 1).all()


def test_rows_point_at_images_of_their_label(chain: Path):
    table = manifest(chain, "deep")
    for shard, row, label in zip(*(table[c].to_pylist() for c in ("shard", "row", "label_a")), strict=True):
        assert Shards(chain / "data/generate", shard).column("identity")[row] == label


def test_identity_mixup_keeps_both_labels_and_the_ratio(chain: Path):
    table = manifest(chain, "identity-mixup")
    assert set(s.split("-")[0] for s in table["shard"].to_pylist()) == {"mixup"}
    assert (table["label_a"].to_numpy() != table["label_b"].to_numpy()).all()
    assert max(table["label_b"].to_pylist()) < 10


def test_domain_mixup_adds_its_people_as_classes_of_their_own(chain: Path):
    table = manifest(chain, "domain-mixup")
    assert set(labels(table, "mix").tolist()) == {10, 11} and len(labels(table, "mix")) == 4
    about = json.loads(table.schema.metadata[b"variant"])
    assert about["classes"] == 12
    assert all(artifacts.digest(chain / "data" / file) == sha for file, sha in about["digests"].items())
    assert {file.rsplit("/", 1)[0] for file in about["digests"]} == {"generate", "sets/wild"}


def test_the_audit_filter_is_obeyed_and_a_shortage_is_refused(copy: Path):
    audited.revise(lambda images: images.assign(kept=images[KEY].any(axis=1)))  # all but the first of identity 0
    run("variants wide")  # identity 0 has six images; the wide variant takes two
    table = manifest(copy, "wide")
    rows = [r for r, s in zip(table["row"].to_pylist(), table["label_a"].to_pylist(), strict=True) if s == 0]
    assert rows == [1, 2]
    with refused("params.yaml", "identity 0 has 5 images left", key="variants.deep", allowed="at least depth = 6"):
        run("variants deep")


def test_images_are_found_by_their_keys_in_whatever_order_the_audit_lists_them(copy: Path):
    before = [manifest(copy, name) for name in ("deep", "identity-mixup")]
    audited.revise(lambda images: images.sample(frac=1, random_state=0))
    for name, table in zip(("deep", "identity-mixup"), before, strict=True):
        run(f"variants {name}")
        assert manifest(copy, name).equals(table)


def test_an_image_that_is_listed_twice_is_refused(copy: Path):
    audited.revise(lambda images: pd.concat([images, images[images["kind"] == "plain"].iloc[[7]]]))
    with pytest.raises(ValueError, match=f"^{AUDITED}: image 1 of identity 1: listed twice; allowed: once$"):
        run("variants base")
    run("variants identity-mixup")


def test_a_shard_that_the_audit_does_not_name_is_refused(copy: Path):
    digests = artifacts.read_json("data/audit/shards.json")
    artifacts.write_json("data/audit/shards.json", {k: v for k, v in digests.items() if k != "plain-00000.arrow"})
    with pytest.raises(ValueError, match=r"^data/audit/shards.json: plain-00000.arrow: missing"):
        run("variants base")


COUNTS = (1, 3, 0, 2, 4, 3, 1)  # images of each person, a long tail


def long_tail(folder: Path, **changes: object) -> Path:
    """Write a set with people of COUNTS images, in mixed order, and params with a variant of it."""
    who = np.random.default_rng(0).permutation(np.repeat(np.arange(len(COUNTS)), COUNTS))
    images = [bytes([person]) for person in who]
    about = {"identity": who, "index": np.arange(len(who)), "seed": np.arange(len(who)), "domain": "external"}
    write_shard(folder / "data/sets/tail/faces-00000.arrow", images, **about)
    entry = {"source": "sets/tail", "width": 3, "depth": 2, "fewer": "skip"}
    write_params(folder, {**TINY, "variants.tail": {**TINY["variants"]["wild"], **entry, **changes}})
    return folder


def shown(folder: Path, domain: str = "main") -> dict[int, list[int]]:
    """Return who is on the images of each label."""
    table = manifest(folder, "tail").filter(pc.field("domain") == domain)
    shards = Shards(folder / "data/sets/tail")
    images = [shards.encoded(row) for row in table["row"].to_pylist()]
    pairs = list(zip(table["label_a"].to_pylist(), images, strict=True))
    return {label: [image[0] for found, image in pairs if found == label] for label, _ in pairs}


def test_people_with_too_few_images_are_skipped_where_one_asks_for_it(tmp_path: Path):
    with working_in(long_tail(tmp_path)):
        assert run("variants tail").startswith("variants tail: 6 images of 3 + 0 identities, 2 skipped -> ")
        assert shown(tmp_path) == {0: [1, 1], 1: [3, 3], 2: [4, 4]}
        table = manifest(tmp_path, "tail")
        assert table["label_a"].equals(table["label_b"])
    with working_in(long_tail(tmp_path, depth=3, width=2, mix="sets/tail", mixed=3, mix_depth=2)):
        assert "2 + 3 identities, 5 skipped" in run("variants tail")
        assert shown(tmp_path) == {0: [1] * 3, 1: [4] * 3}
        assert shown(tmp_path, "mix") == {2: [1, 1], 3: [3, 3], 4: [4, 4]}


def test_skipping_does_not_make_people_up(tmp_path: Path):
    with working_in(long_tail(tmp_path, width=5)):
        with refused("params.yaml", "4 identities have 2 images", key="variants.tail", allowed="at least width = 5"):
            run("variants tail")
        long_tail(tmp_path, fewer="refuse")
        allowed = "at least depth = 2, or fewer: skip"
        with refused("params.yaml", "identity 2 has 0 images left", key="variants.tail", allowed=allowed):
            run("variants tail")


def test_a_missing_set_is_one_line(copy: Path):
    write_params(copy, {**TINY, "variants.base.source": "sets/other"})
    with pytest.raises(ValueError, match="data/sets/other: no image shards"):
        run("variants base")
