"""Stage `evaluate` on a real tiny network and two small protocols."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from ruamel.yaml import YAML

from stages import evaluate
from stages.common import artifacts, images, networks, tables, verification
from stages.common.errors import InputError
from stages.evaluators import pairs
from stages.evaluators.pairs import Compared

ROOT = Path(__file__).parents[1]
CARD = {
    "architecture": "compact",
    "widths": [4, 4, 8, 8],
    "embedding_size": 8,
    "size_px": 32,
    "colour": "grey",
}
SEEDS = [0, 1]


def write_pairs(file: Path, a: np.ndarray, b: np.ndarray, same: np.ndarray, fold: np.ndarray) -> None:
    """Write the pairs of a protocol."""
    kinds = {"a": pa.int32(), "b": pa.int32(), "same": pa.bool_(), "fold": pa.int8()}
    columns = zip(kinds.items(), (a, b, same, fold), strict=True)
    table = pa.table({name: pa.array(column, kind) for (name, kind), column in columns})
    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


def write_protocol(folder: Path, seed: int) -> None:
    """Write 20 people with 4 faces each, a colour per person and noise per face, in two shards, and 200 pairs."""
    rng = np.random.default_rng(seed)
    identity, index = np.repeat(np.arange(100, 120), 4), np.tile(np.arange(4), 20)
    faces = np.kron(rng.integers(0, 200, (20, 4, 4, 3)), np.ones((1, 8, 8, 1)))[identity - 100]
    faces = (faces + rng.integers(0, 56, faces.shape)).astype(np.uint8)
    folder.mkdir(parents=True)
    for i, part in enumerate((slice(0, 50), slice(50, 80))):
        images.write_shard(
            folder / f"pair-{i:05d}.arrow",
            list(faces[part]),
            identity=identity[part],
            index=index[part],
            seed=np.arange(80)[part],
            domain="wild",
        )
    same = np.arange(200) % 2 == 0
    a = rng.integers(0, 80, 200)
    apart = (a + 4 * rng.integers(1, 20, 200)) % 80
    write_pairs(folder / "pairs.arrow", a, np.where(same, a // 4 * 4 + (a + 1) % 4, apart), same, np.arange(200) // 20)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with params.yaml, two networks and three protocols."""
    root = tmp_path_factory.mktemp("repository")
    values = YAML(typ="safe").load((ROOT / "params.yaml").read_text())
    values["evaluate"] |= {"rates": {"fars": [0.1, 0.001]}, "replicates": 50}
    values["variants"] = {"base": values["variants"]["base"]}
    YAML().dump(values, root / "params.yaml")
    for seed in SEEDS:
        torch.manual_seed(seed)
        (root / "data/train/base").mkdir(parents=True, exist_ok=True)
        networks.save(root / f"data/train/base/seed-{seed}", networks.build(CARD), CARD)
    listed = []
    for i, (name, domain) in enumerate((("one", "wild"), ("two", "wild"), ("orl", "external"))):
        write_protocol(root / "data/benchmarks" / name, i)
        listed.append(
            {"name": name, "kind": "pairs", "folder": f"data/benchmarks/{name}", "domain": domain, "pairs": 200}
        )
    artifacts.write_json(root / "data/benchmarks/index.json", {"protocols": listed})
    return root


@pytest.fixture
def inside(made: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Run in that folder with the variant's name as argument; a few pairs at a time are compared."""
    monkeypatch.setattr(pairs, "STEP", 7)
    monkeypatch.chdir(made)
    monkeypatch.setattr(sys, "argv", ["evaluate", "base"])
    yield made


def report() -> dict[str, Any]:
    """Return what the stage reports."""
    return json.loads(Path("reports/evaluate/base.json").read_text())


def scores(name: str) -> pa.Table:
    """Return the kept scores of a protocol."""
    return pa.ipc.open_file(f"data/evaluate/base/{name}.arrow").read_all()


@pytest.mark.usefixtures("inside")
def test_reports_agree_with_the_scores_that_are_kept() -> None:
    line = evaluate.main()
    assert line.startswith("evaluate base: wild accuracy ") and line.endswith("-> reports/evaluate/base.json")
    summary = report()
    assert summary["seeds"] == SEEDS and list(summary["protocols"]) == ["one", "two", "orl", "orl-centred"]
    for name, protocol in summary["protocols"].items():
        table = scores(name)
        same, fold = table["same"].to_numpy(), table["fold"].to_numpy()
        each = [table[f"seed_{seed}"].to_numpy() for seed in SEEDS]
        accuracy = [verification.ten_fold_accuracy(score, same, fold)[0] for score in each]
        assert protocol["accuracy"]["per_seed"] == pytest.approx(accuracy, rel=1e-5)
        assert protocol["accuracy"]["value"] == pytest.approx(np.mean(accuracy), rel=1e-5)
        assert protocol["auc"]["low"] <= protocol["auc"]["value"] <= protocol["auc"]["high"]
        tars = [verification.tar_at_far(score[same], score[~same], 0.1) for score in each]
        assert protocol["tar_at_far_0.1"]["per_seed"] == pytest.approx(tars, rel=1e-5)
        assert protocol["tar_at_far_0.001"] is None  # 100 impostor pairs cannot measure it
        assert (protocol["pairs"], protocol["identities"]) == (200, 20)
    wild = [summary["protocols"][name]["d_prime"]["value"] for name in ("one", "two")]
    assert summary["wild_mean"]["d_prime"]["value"] == pytest.approx(np.mean(wild), rel=1e-5)


@pytest.mark.usefixtures("inside")
@pytest.mark.parametrize("name", ["two", "orl"])
def test_scores_are_cosines_of_the_rows_named(name: str) -> None:
    evaluate.main()
    table = scores(name)
    shards = images.Shards(f"data/benchmarks/{name}", "pair-*.arrow")
    net = networks.load("data/train/base/seed-1")
    x = net.embed(shards.faces())
    if name == "orl":  # photographs come with their mirror image
        x += net.embed(shards.faces()[:, :, ::-1])
    a, b = table["a"].to_numpy(), table["b"].to_numpy()
    cosine = (x[a] * x[b]).sum(1) / np.linalg.norm(x[a], axis=1) / np.linalg.norm(x[b], axis=1)
    np.testing.assert_allclose(table["seed_1"].to_numpy(), cosine, atol=1e-6)
    np.testing.assert_array_equal(table["identity_b"].to_numpy(), shards.column("identity")[b])


@pytest.mark.usefixtures("inside")
def test_a_second_run_writes_the_same_bytes() -> None:
    evaluate.main()
    files = [*Path("data/evaluate/base").iterdir(), Path("reports/evaluate/base.json")]
    before = {file: artifacts.digest(file) for file in files}
    evaluate.main()
    assert {file: artifacts.digest(file) for file in files} == before


def test_centring_takes_away_what_third_persons_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairs, "STEP", 1)
    rng = np.random.default_rng(0)
    identity = np.repeat([3, 5, 8, 9], 5)
    x = rng.normal(size=(20, 6)).astype(np.float32) * 0.1 + np.eye(6, dtype=np.float32)[0]
    a, b = np.array([0, 0]), np.array([1, 5])  # a genuine pair of person 3, an impostor pair of 3 and 5
    found = pairs.centred(x, Compared(a, b, a == b, a, identity))
    for pair, third in ((0, slice(5, 20)), (1, slice(10, 20))):
        one, two = (x[rows[pair]] - x[third].mean(axis=0) for rows in (a, b))
        assert found[pair] == pytest.approx(one @ two / np.linalg.norm(one) / np.linalg.norm(two), abs=1e-5)
    moved = x.copy()
    moved[2:5] += 1  # other images of person 3
    np.testing.assert_allclose(pairs.centred(moved, Compared(a, b, a == b, a, identity)), found, atol=1e-5)


def test_centring_does_not_tell_genuine_from_impostor_pairs_by_itself() -> None:
    """With nothing but noise, both kinds of pairs score alike."""
    rng = np.random.default_rng(0)
    identity = np.repeat(np.arange(20), 10)
    a = rng.integers(0, 200, 4000)
    same = rng.random(4000) < 0.5
    b = np.where(same, a // 10 * 10 + (a + rng.integers(1, 10, 4000)) % 10, (a + 10 * rng.integers(1, 20, 4000)) % 200)
    gaps = []
    for _ in range(20):
        x = rng.normal(size=(200, 32)).astype(np.float32)
        score = pairs.centred(x, Compared(a, b, a == b, a, identity))
        gaps.append(score[same].mean() - score[~same].mean())
    assert abs(np.mean(gaps)) < 0.003


@pytest.mark.parametrize(
    ("column", "value", "key", "allowed"),
    [
        ("b", 80, "a and b", "0 to 79"),
        ("same", False, "same of pair 0", ""),
        ("fold", 0, "pairs", "genuine and impostor ones, in two folds or more"),
    ],
)
def test_pairs_that_cannot_be_right_are_refused(inside: Path, column: str, value: Any, key: str, allowed: str) -> None:
    file = inside / "data/benchmarks/two/pairs.arrow"
    before = file.read_bytes()
    columns = {name: values.to_numpy().copy() for name, values in zip(tables.PAIRS.names, _table(file), strict=True)}
    columns[column][:] = value
    write_pairs(file, **columns)
    try:
        with pytest.raises(InputError) as error:
            evaluate.main()
    finally:
        file.write_bytes(before)
    assert (error.value.file, error.value.key, error.value.allowed) == (str(file.relative_to(inside)), key, allowed)
    assert not list(inside.glob("data/evaluate/.*"))  # nothing half done stays


def _table(file: Path) -> list[pa.ChunkedArray]:
    with pa.OSFile(str(file)) as source:
        return pa.ipc.open_file(source).read_all().columns


@pytest.mark.parametrize(
    ("arguments", "message"),
    [([], "got 0"), (["nobody"], "data/train/nobody: no seed"), (["base", "base"], "got 2")],
)
def test_a_wrong_or_missing_name_is_one_line(made: Path, arguments: list[str], message: str) -> None:
    command = [sys.executable, "-m", "stages.evaluate", *arguments]
    done = subprocess.run(
        command, cwd=made, env={"PYTHONPATH": str(ROOT), "PATH": ""}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and message in done.stderr, done.stderr
