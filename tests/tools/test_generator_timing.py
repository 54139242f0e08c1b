"""The table of generators beside the published scripts; how fast anything is, is not tested."""

from pathlib import Path

import pytest
from tiny import ROOT

from stages.tools import arc2face_timing, generator_timing

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # diffusers with numpy 2


def test_the_table_has_a_row_for_every_contest_and_a_new_run_replaces_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(generator_timing, "FILE", tmp_path / "generate.md")
    monkeypatch.setattr(arc2face_timing, "BATCHES", {"cpu": (2,), "cuda": (2,)})
    generator_timing.main(["arc2face"], "tiny", images=4, steps=1, runs=1, write=True)
    lines = (tmp_path / "generate.md").read_text().splitlines()
    rows = [dict(zip(generator_timing.COLUMNS, line.strip("| ").split(" | "), strict=True)) for line in lines[8:]]
    assert [row["images"] for row in rows] == ["4, 1 of an identity, batch 2", "4, 4 of an identity, batch 2"]
    assert all(min(float(row["theirs, s"]), float(row["ours, s"])) > 0 for row in rows)
    assert all(row["largest difference"] in (*map(str, range(9)), "other noise") for row in rows)  # bfloat16, perhaps
    again = [*rows[0].values()][:5] + ["1", "2", "0.50", "0", "new"]
    changed = generator_timing.updated([again]).splitlines()[8:]
    assert len(changed) == 2 and changed[0].endswith("| new |") and changed[1] == lines[9]


def test_vec2face_draws_the_same_faces_its_publishers_way_and_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(generator_timing, "FILE", tmp_path / "generate.md")
    generator_timing.main(["vec2face"], "tiny", images=5, steps=1, runs=1, write=True)
    lines = (tmp_path / "generate.md").read_text().splitlines()
    rows = [dict(zip(generator_timing.COLUMNS, line.strip("| ").split(" | "), strict=True)) for line in lines[8:]]
    assert [row["images"] for row in rows] == ["5, 1 a call of theirs", "5, 4 a call of theirs"]
    assert all(float(row["ours, s"]) > 0 and row["largest difference"] in ("0", "1") for row in rows)
