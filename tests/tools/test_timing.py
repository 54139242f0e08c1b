"""The timing tool prints its tables; how fast anything is, is not tested."""

from itertools import groupby
from pathlib import Path

import pytest
from tiny import ROOT

from stages.tools import packing_runs, packing_timing, timing
from stages.tools.packing_runs import READINGS


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


def test_the_packing_tables_have_a_row_for_every_instance_and_reading(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    cases = [packing_runs.Case("clustered", 12, 40, (0.25, 1.0), (1, 2), iterations=20)]
    cases.append(packing_runs.Case("world", 12, 40, (0.5,), (1,), iterations=20))
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(packing_timing, "FULL", cases)
    monkeypatch.setattr(packing_timing, "LARGE", (20, 40))
    monkeypatch.setattr(packing_timing, "FOLDER", tmp_path)
    packing_timing.main(full=True, seeds=(8, 7), save=True)
    every, ranges, choices, front, costs = _tables((tmp_path / "pack.md").read_text())
    assert [(row[2], row[3], row[4]) for row in every[:4]] == [(a, r, "8") for a in ("0.25", "1") for r in READINGS]
    assert [row[4] for row in every] == ["8"] * 4 + ["7"] * 4 + ["8"] * 2
    assert all(float(row[8]) <= float(row[5]) for row in every)
    assert [row[4] for row in ranges] == ["2"] * 4 + ["1"] * 2
    assert len(choices) == 6 and {row[4] for row in choices if row[3] == "mean"} == {"mean"}
    assert [row[:3] for row in front] == [["clustered", "12", "0.25"], ["clustered", "12", "1"]]
    assert [row[0] for row in costs] == ["20", "40"]
    assert min((tmp_path / name).stat().st_size for name in ("pack.png", "front.png")) > 10_000


def _tables(text: str) -> list[list[list[str]]]:
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    bodies = [list(rows) for is_table, rows in groupby(lines, lambda line: len(line) > 1) if is_table]
    return [rows[2:] for rows in bodies]


def test_both_methods_have_as_many_trials_and_the_lowest_is_taken(monkeypatch: pytest.MonkeyPatch):
    def loop(which: str, choice: packing_runs.Choice, *_: object) -> packing_runs.Run:
        tried.append(choice)
        descended, rate = choice
        end = abs(rate - 0.01) + (0.1 if descended == "mean" else 0.0)
        return packing_runs.Run(which, [1.0], [{"mean": end, "closest": end}])

    def solver(step: float, *_: object) -> packing_runs.Run:
        tried.append(step)
        return packing_runs.Run("", [1.0], [{"mean": abs(step - 0.9), "closest": abs(step - 0.6)}])

    tried: list[object] = []
    monkeypatch.setattr(packing_runs, "loop", loop)
    monkeypatch.setattr(packing_runs, "solver", solver)
    found = packing_runs.chosen(packing_runs.Case("clustered", 2, 4, (0.5,), (1,)))
    assert found == {(0.5, "mean"): (("mean", 0.01), 0.9), (0.5, "closest"): (("closest", 0.01), 0.6)}
    assert len(tried) == 2 * len(packing_runs.STEPS)


def test_a_ratio_counts_the_seconds_until_the_solver_is_as_low_as_the_loop():
    def run(*ends: float) -> packing_runs.Run:
        return packing_runs.Run("", [1.0, 2.0, 4.0], [{"mean": end} for end in ends])

    runs = [run(0.5, 0.4, 0.3), run(0.5, 0.4, 0.1), run(0.5, 0.3, 0.2), run(0.5, 0.5, 0.4)]
    case = packing_runs.Case("clustered", 2, 2, (1.0,), (1,))
    found = packing_runs.Comparison(case, 1, 1.0, "mean", ("mean", 1.0), 0.7, runs)
    assert found.ratios(0) == [2.0, 0.0] and found.ratios(1) == [0.0, 0.0]


def test_the_tuning_instance_is_no_held_out_one():
    with pytest.raises(ValueError, match=r"--seeds 900"):
        packing_timing.main(full=False, seeds=[1, packing_runs.TUNING_SEED])


def test_a_table_is_written_only_when_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(packing_timing, "SHORT", [packing_runs.Case("clustered", 12, 40, (0.5,), (1,), iterations=20)])
    monkeypatch.setattr(packing_timing, "FOLDER", tmp_path)
    for options, files in (([], 0), (["--write"], 2)):
        timing.main(["pack", *options])
        assert len(list(tmp_path.iterdir())) == files
