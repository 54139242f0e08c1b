"""The comparison of packings on tiny cells: what runs, what is kept, what the tables say; no speed is tested."""

import json
from itertools import groupby
from pathlib import Path

import pytest
import torch
from tiny import ROOT

from stages.common.errors import InputError
from stages.packing import orbits
from stages.packing.random_start import parted, random_rows
from stages.tools import packing_cells, packing_runs, packing_tables, packing_timing, readme, timing
from stages.tools.packing_cells import Cell, Drawn, World, tuning
from stages.tools.packing_runs import READINGS, Comparison, Run

CELLS = [Cell(Drawn(40, 24, 0.5, 6, "falling", 0.1, seed), 12, alpha) for seed, alpha in ((8, 0.0), (7, 0.5))]


def run(*ends: float) -> Run:
    return Run([1.0, 2.0, 4.0], [{"mean": end, "closest": end, "pair": end, "gallery_term": 0.0} for end in ends])


def comparison(**runs: Run) -> Comparison:
    return Comparison(CELLS[1], "mean", 0.01, 0.5, runs)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the reports of a full run on tiny cells, and below it what the run has kept."""
    folder = tmp_path_factory.mktemp("timing")
    large = packing_timing.LargeCase(Drawn(60, 24, 0.5, 6, "flat", 0.0, 1), 50, 0.5, "minutes", 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        patch.setattr(packing_runs, "ITERATIONS", 20)
        patch.setattr(packing_timing, "full", lambda seeds: [*CELLS, Cell(World(40, 128, 1), 12, 0.5)])
        patch.setattr(packing_timing, "SIZES", (20, 40))
        patch.setattr(packing_timing, "LARGE_CASES", (large,))
        patch.setattr(packing_tables, "FOLDER", folder)
        patch.setattr("os.sched_getaffinity", lambda process: {0})
        timing.main(["pack", "--full", "--write", "--folder", str(folder / "kept")])
    return folder


def tables(text: str) -> list[list[list[str]]]:
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    return [list(rows)[2:] for is_table, rows in groupby(lines, lambda line: len(line) > 1) if is_table]


def test_the_tables_have_a_row_for_every_cell_and_reading(written: Path):
    sums, every, others, choices, front, large, costs = tables((written / "pack.md").read_text())
    assert {row[0] for row in sums} == {"d = 24, m = 12, alpha 0", "d = 24, m = 12", "face world, d = 128, m = 12"}
    assert len(sums) == 3 * len(packing_tables.GOALS)
    assert sorted((row[4], row[5]) for row in every) == [(alpha, r) for alpha in ("0", "0.5") for r in sorted(READINGS)]
    assert [float(row[11]) for row in every] == sorted(float(row[11]) for row in every)
    assert {row[0] for row in others} == {"world"} and len(others) == 2
    assert [row[:4] for row in choices] == [
        ["drawn", "24", "12", "0.0"], ["drawn", "24", "12", "0.5"], ["world", "128", "12", "0.5"],
    ]  # fmt: skip
    assert {float(row[4]) for row in choices} <= set(packing_runs.RATES)
    assert [row[0] for row in front] == ["0.5"]
    assert [row[:4] for row in large] == [["50", "60", "24", "0.5"]]
    assert [row[0] for row in costs] == ["20", "40"]
    assert min((written / name).stat().st_size for name in ("pack.png", "front.png")) > 10_000


def test_the_results_are_those_of_the_table_and_the_readme_takes_them(written: Path):
    report = json.loads((written / "pack.json").read_text())
    assert len(report["cells"]) == 6 and len(report["large"]) == 1
    again = packing_tables.summary(report["cells"])
    named = {(row["cells"], row["figure"]): (row["worst"], row["holds"]["worst"]) for row in report["summary"]}
    assert named == {(row["cells"], row["figure"]): (row["worst"], row["holds"]["worst"]) for row in again}
    text = readme.packing(report)
    assert report["cells"][0]["cell"] in text and "50 rows of 60" in text
    first = next(row for row in report["summary"] if "alpha 0" not in row["cells"])
    assert f"({first['worst']:.1f})" in text
    report["summary"][report["summary"].index(first)] |= {"never": 1, "rows": 3}
    assert "(never in 1 of 3)" in readme.packing(report)


def test_a_table_is_written_only_when_asked_for(written: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(packing_timing, "full", lambda seeds: CELLS)
    monkeypatch.setattr(packing_tables, "FOLDER", tmp_path)
    for save, files in ((False, 0), (True, 3)):
        packing_timing.main(is_full=True, save=save, parts=["0-1"], folder=written / "kept")
        assert len(list(tmp_path.iterdir())) == files


def test_what_has_run_does_not_run_again(written: Path, monkeypatch: pytest.MonkeyPatch):
    def fail(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(packing_runs, "loop", fail)
    monkeypatch.setattr(packing_runs, "solved", lambda cell, reading, seconds: {"same": "anew"})
    for without in ("solver", None):
        packing_runs.measure(CELLS[0], written / "kept", without)
    (written / "kept" / "solver" / f"{CELLS[1].name}.json").rename(written / "aside.json")
    packing_runs.measure(CELLS[1], written / "kept", "reference")
    anew = json.loads((written / "kept" / "solver" / f"{CELLS[1].name}.json").read_text())
    (written / "aside.json").rename(written / "kept" / "solver" / f"{CELLS[1].name}.json")
    assert anew["mean"] == {"same": "anew"}


def test_the_rate_is_that_which_ends_lowest_on_the_tuning_cells(monkeypatch: pytest.MonkeyPatch):
    def loop(which: str, rate: float, cell: Cell) -> Run:
        tried.append((rate, cell))
        return run(*[abs(rate - 0.01)] * 3)

    tried: list[tuple[float, Cell]] = []
    monkeypatch.setattr(packing_runs, "loop", loop)
    assert packing_runs.best_rate(CELLS[1]) == 0.01
    assert {cell for _, cell in tried} == set(tuning(CELLS[1]))
    assert len(tried) == len(packing_runs.RATES) * len(tuning(CELLS[1]))


def test_a_ratio_counts_the_seconds_until_the_solver_is_as_low_as_the_loop():
    one = comparison(
        reference=run(0.5, 0.4, 0.3), twin=run(0.5, 0.4, 0.4), same=run(0.5, 0.3, 0.2), own=run(0.5, 0.5, 0.4)
    )
    assert [one.faster("reference", "same"), one.faster("twin", "same"), one.faster("twin", "own")] == [2.0, 2.0, 0.0]
    assert [one.lower("same"), one.lower("own")] == [0.5, 1.0]
    del one.runs["reference"]
    assert one.faster("reference", "same") is None and one.faster("twin", "own") == 1.0


def test_the_solver_stops_with_the_seconds_of_the_twin():
    short, long = (packing_runs.solver(CELLS[1], "mean", seconds=seconds) for seconds in (0.0, 0.3))
    assert len(short.seconds) == 1 < len(long.seconds) and long.seconds[-1] <= 0.3
    assert long.end("mean") < short.end("mean")


def test_without_a_limit_the_solver_goes_on_and_ends_by_itself():
    shipped, long = (packing_runs.solver(CELLS[1], "mean", seconds=seconds) for seconds in (None, 60.0))
    assert long.end("mean") < shipped.end("mean") + 1e-6 and long.seconds[-1] < 60


@pytest.mark.parametrize("m", [110, 101])  # whole orbits, and one that is cut
def test_at_alpha_0_the_solver_starts_from_rows_that_stand_for_all(m: int):
    cell = Cell(Drawn(150, 16, 0.5, 6, "falling", 0.1, 7), m, 0.0)
    assert orbits.size(cell.m, 16) == 2
    same = packing_runs.solver(cell, "closest")
    x_ref, row = packing_cells.rows(cell.gallery), random_rows(150, m, 7)
    some = torch.from_numpy(parted(x_ref, row, 7)[: -(-m // 2)])
    assert same.scores[0] == packing_runs.scores(orbits.expanded(some, 2)[:m].numpy(), x_ref, 0.0)
    assert same.end("closest") < same.scores[0]["closest"]


def test_the_summary_names_the_worst_cell_and_says_what_holds():
    same = [run(0.5, 0.3, 0.3), run(0.5, 0.5, 0.5)]  # the second never has the loop's J
    ones = [comparison(twin=run(0.5, 0.4, 0.4), same=one, own=run(0.3, 0.3, 0.3), long=one) for one in same]
    rows = [packing_tables.row_of(one) | {"cell": f"{place}"} for place, one in enumerate(ones)]
    sums = {row["figure"]: row for row in packing_tables.summary(rows)}
    assert packing_tables.worst_first(rows) == [1, 0]
    assert sums["twin / solver, CPU s, same rows"]["worst"] == 0 and len(sums) == 5
    lower = sums["J, same rows, over the twin's"]
    assert (
        lower["worst"] == 1.25 and lower["mean"] == pytest.approx((0.75 * 1.25) ** 0.5) and lower["worst cell"] == "1"
    )
    assert lower["holds"] == {"mean": True, "worst": False}


def test_words_name_cells():
    assert packing_timing.split(["3", "0-2", "cost"], 5) == (["cost"], [3, 0, 1, 2])
    for word in ("5", "2-1", "x", "-1", "1-"):
        with pytest.raises(InputError) as refused:
            packing_timing.split([word], 5)
        assert (refused.value.key, refused.value.value) == ("--cells", word)


def test_a_tuning_seed_is_refused():
    with pytest.raises(InputError) as refused:
        packing_timing.main(is_full=False, seeds=[1, 900])
    assert (refused.value.key, refused.value.value) == ("--seeds", 900)
