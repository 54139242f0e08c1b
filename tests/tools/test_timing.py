"""The timing tool prints its tables; how fast anything is, is not tested."""

from pathlib import Path

import pytest
from tiny import ROOT

from stages.tools import packing_timing, timing


def test_the_world_has_a_row_of_rates_for_every_size(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    monkeypatch.setattr(timing, "SIZES_PX", (16, 32))
    timing.world()
    rows = capsys.readouterr().out.splitlines()[-2:]
    rates = [[float(cell) for cell in row.replace("px", "").replace("none", "").split()] for row in rows]
    assert [row[0] for row in rates] == [16, 32]
    assert min(map(min, rates)) > 0


def test_the_generator_is_timed_with_the_networks_of_the_repository(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(timing, "ROWS", 2)
    timing.generator()
    steps, refined, drawn = map(float, capsys.readouterr().out.splitlines()[-1].split())
    assert min(steps, refined, drawn) > 0


def test_the_packing_table_has_a_row_for_every_instance_and_reading(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    cases = [packing_timing.Case(kind, 12, 40, (0.5,), (1,), iterations=20) for kind in ("clustered", "world")]
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(packing_timing, "FULL", cases)
    monkeypatch.setattr(packing_timing, "LARGE", (20, 40))
    monkeypatch.setattr(packing_timing, "FOLDER", tmp_path)
    packing_timing.main(full=True)
    rows = [line.split(" | ") for line in (tmp_path / "pack.md").read_text().splitlines() if line.startswith("| ")]
    compared = [row for row in rows if row[0] in ("| clustered", "| world")]
    assert [row[3] for row in compared] == ["mean", "closest"] * 2
    assert all(float(row[8]) <= float(row[5]) for row in compared)
    assert len(rows) == 2 + 4 + 2 + 2 and (tmp_path / "pack.png").stat().st_size > 10_000
