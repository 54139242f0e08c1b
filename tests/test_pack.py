"""Stage `pack`: what it writes, and what it refuses."""

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

from stages import pack
from stages.common import artifacts, sphere
from stages.packing import collectives, tiles
from stages.settings.pack import Pack

CFG = Pack(
    method="hyperface", identities=12, alpha=0.5, separation="mean", start="random", iterations=60,
    tolerance=0, max_cosine=0.6, crowded_cosine=0.5, seed=0,
)  # fmt: skip


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    YAML().dump({"pack": asdict(CFG)}, tmp_path / "params.yaml")
    native = np.random.default_rng(0).standard_normal((30, 8)) * np.arange(1, 9)
    artifacts.write_rows("data/embed", "x_ref", sphere.unit_rows(native), np.linalg.norm(native, axis=1))
    return tmp_path


def test_writes_rows_and_figures_that_agree(workplace):
    line = pack.main()
    x_ref, _ = artifacts.read_rows("data/embed", "x_ref")
    x_id, norms = artifacts.read_rows("data/pack", "x_id", d=8)
    found = json.loads(Path("reports/pack.json").read_text())
    cos = x_id @ x_id.T - 3 * np.eye(12)
    assert x_id.shape == (12, 8) and len(np.unique(norms)) == 1 and "12" in line
    assert found["separation"] == pytest.approx(cos.max(axis=1).mean(), abs=1e-5)
    assert found["nearest_cosine"]["max"] == pytest.approx(cos.max(), abs=1e-5)
    assert found["nearest_deg"]["min"] == pytest.approx(np.degrees(np.arccos(cos.max())), abs=1e-3)
    assert found["gallery_cosine"]["min"] == pytest.approx((x_id @ x_ref.T).max(axis=1).min(), abs=1e-5)
    assert found["bound"] == 0 and found["gap_deg"] == pytest.approx(90 - found["nearest_deg"]["min"], abs=1e-3)
    assert found["objective"] == pytest.approx(found["separation"] + 0.5 * found["gallery_term"], abs=1e-5)
    assert found["objective"] < found["start"]["objective"]
    assert found["start"]["gallery_term"] == pytest.approx(0, abs=1e-6)


def test_the_course_leads_from_the_start_to_what_is_reported(workplace):
    YAML().dump({"pack": asdict(CFG) | {"alpha": 2.0}}, workplace / "params.yaml")
    native = np.random.default_rng(0).standard_normal((30, 24))
    artifacts.write_rows("data/embed", "x_ref", sphere.unit_rows(native), np.ones(30, np.float32))
    pack.main()
    found = json.loads(Path("reports/pack.json").read_text())
    iterations, objective = zip(*json.loads(Path("data/pack/course.json").read_text()), strict=True)
    assert iterations == (0, 0, 10, 20, 30, 40, 50, 60)  # the second after crowded rows have moved
    assert objective[0] == pytest.approx(found["start"]["objective"], abs=1e-5)
    assert min(objective) == pytest.approx(found["objective"], abs=1e-5) and objective[1] < objective[0]


@pytest.mark.parametrize("method", ["hyperface", "gallery"])
def test_the_front_holds_the_run_of_hyperface_and_says_what_alpha_would_do_for_another(workplace, method: str):
    YAML().dump({"pack": asdict(CFG) | {"method": method, "alpha": 0.3}}, workplace / "params.yaml")
    pack.main()
    found, traded = (json.loads(Path(file).read_text()) for file in ("reports/pack.json", "data/pack/front.json"))
    points = {point["alpha"]: point for point in traded["points"]}
    assert (traded["identities"], traded["gallery"]) == (12, 30)
    assert list(points) == [0, 0.0625, 0.125, 0.25, 0.3, 0.5, 1, 2]
    run = {"alpha": 0.3, "closest": found["nearest_cosine"]["max"], "mean": found["nearest_cosine"]["mean"]}
    assert (points[0.3] == run | {"gallery_term": found["gallery_term"]}) == (method == "hyperface")
    assert points[2]["mean"] > points[0]["mean"] + 0.02 and points[2]["gallery_term"] < points[0]["gallery_term"] - 0.1
    assert json.loads(Path("data/pack/course.json").read_text()) == []  # so few dimensions are searched


def test_figures_of_four_rows_by_hand():
    x = sphere.unit_rows(np.array([[1, 0, 0, 0], [0.6, 0.8, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]))
    found = pack.report(x, x, replace(CFG, identities=4, separation="closest"))
    assert found["bound"] == pytest.approx(-1 / 3)
    assert found["gap_deg"] == pytest.approx(np.degrees(np.arccos(-1 / 3) - np.arccos(0.6)), abs=1e-4)
    assert found["crowded"] == 0.5


@pytest.mark.parametrize("rows", [30, 12])
def test_figures_of_many_rows_are_those_of_few(workplace, rows: int, monkeypatch: pytest.MonkeyPatch):
    """Beyond a tile, what random gallery rows are beside their gallery is known, but for those that are moved apart."""
    x_ref = artifacts.read_rows("data/embed", "x_ref")[0][:rows]
    if rows < 20:
        x_ref = sphere.unit_rows(x_ref + 4 * x_ref[0])  # so near that a repeated row may come nearer to another
    cfg = replace(CFG, identities=20)
    x = pack.pack(x_ref, cfg)
    one_tile = pack.report(x, x_ref, cfg)
    monkeypatch.setattr(tiles, "TILE", 6)
    monkeypatch.setattr(collectives, "TILE", 6)
    several = pack.report(x, x_ref, cfg)
    assert (one_tile["start"]["gallery_term"] > 0.01) == (rows < 20)
    for name, value in one_tile.items():
        assert several[name] == pytest.approx(value, abs=1e-4), name


def test_a_second_run_writes_the_same_bytes(workplace):
    pack.main()
    files = [*sorted(Path("data/pack").iterdir()), Path("reports/pack.json")]
    before = [file.read_bytes() for file in files]
    shutil.rmtree("data/pack")
    pack.main()
    assert [file.read_bytes() for file in files] == before


def test_public_call_takes_rows_alone(workplace):
    x_ref, norms = artifacts.read_rows("data/embed", "x_ref")
    assert np.array_equal(pack.pack(x_ref, CFG), pack.pack_with_norms(x_ref, norms, CFG)[0])


def test_refuses_a_single_identity_and_writes_nothing(workplace):
    YAML().dump({"pack": asdict(CFG) | {"identities": 1}}, workplace / "params.yaml")
    with pytest.raises(ValueError, match=r"pack.identities = 1: input should be greater than or equal to 2"):
        pack.main()
    assert not Path("data/pack").exists() and not Path("reports").exists()


@pytest.mark.parametrize("spoil, message", [
    (lambda x: np.where(np.arange(30)[:, None] == 7, np.nan, x), r"x_ref: row 7 has length nan; allowed: 1"),
    (lambda x: np.where(np.arange(30)[:, None] == 7, np.inf, x), r"x_ref: row 7 has length inf; allowed: 1"),
    (lambda x: x * np.where(np.arange(30)[:, None] == 7, 2, 1), r"x_ref: row 7 has length 2; allowed: 1 to 0.001"),
    (lambda x: x[:0], r"x_ref has shape \(0, 8\); allowed: at least one gallery row"),
    (lambda x: x[0], r"x_ref has shape \(8,\)"),
])  # fmt: skip
def test_refuses_a_broken_gallery_in_one_line(workplace, spoil, message):
    with pytest.raises(ValueError, match=message):
        pack.pack(spoil(artifacts.read_rows("data/embed", "x_ref")[0]), CFG)


def test_refuses_norms_and_rows_that_do_not_belong_together(workplace):
    x_ref, norms = artifacts.read_rows("data/embed", "x_ref")
    with pytest.raises(ValueError, match=r"norms of 29 gallery rows; allowed: 30"):
        pack.pack_with_norms(x_ref, norms[:-1], CFG)
    with pytest.raises(ValueError, match=r"rows have 7 dimensions; allowed: 8, as the gallery"):
        pack.report(x_ref[:, :7], x_ref, CFG)


def test_takes_double_precision_and_leaves_the_gallery_as_it_is(workplace):
    x_ref = artifacts.read_rows("data/embed", "x_ref")[0]
    double = x_ref.astype(np.float64)
    double.setflags(write=False)
    assert np.array_equal(pack.pack(double, CFG), pack.pack(x_ref, CFG))
