"""The sheets of `compare` on revisions that are a folder of reports, without git or DVC's cache."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from dvc.api import DVCFileSystem

from stages.common import artifacts
from stages.common.errors import InputError
from stages.reporting import frame
from stages.reporting.tables import Cell
from stages.tools import compare_sheets, revisions
from stages.tools.compare_sheets import Sheet
from stages.tools.revisions import Revision

FILES = cache(DVCFileSystem)  # takes a second to open, and is not read


def entry(value: float) -> dict[str, Any]:
    return {"value": value, "low": value - 0.05, "high": value + 0.1, "per_seed": [value] * 3}


def named(name: str) -> Revision:
    return Revision(name, None, FILES())


def words(sheet: Sheet) -> list[list[str]]:
    return [[cell.text for cell in row] for row in sheet.table.rows]


@pytest.fixture
def revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Revision:
    """Return a working tree with two variants and one report of numbers."""
    monkeypatch.chdir(tmp_path)
    for name, value in (("base", 0.5), ("wild", 0.75)):
        protocols = {"syn-lfw": {"domain": "studio", "accuracy": entry(value + 0.125), "d_prime": entry(2)}}
        mean = {"accuracy": entry(value), "d_prime": entry(1.5)}
        artifacts.write_json(f"reports/evaluate/{name}.json", {"protocols": protocols, "wild_mean": mean})
    artifacts.write_json("reports/pack.json", {"gap": 0.5, "nearest": {"min": 3}, "method": "code", "ok": True})
    return revisions.resolve("workspace")


def test_numbers_have_dotted_names_and_truth_values_are_none():
    nested = {"a": {"b": 1, "c": True, "d": [1, 2]}, "e": 2.5, "f": "3", "g": None}
    assert list(revisions.flat(nested)) == [("a.b", 1), ("e", 2.5)]


def test_shares_are_shown_in_percent_and_distances_as_they_are():
    assert compare_sheets.cell("accuracy", entry(0.5)) == Cell("50.0", "45.0, 60.0")
    assert compare_sheets.cell("d_prime", entry(1.5)) == Cell("1.50", "1.45, 1.60")
    assert compare_sheets.cell("auc", {"value": -0.0004, "low": -0.01, "high": 0.0}, "+") == Cell("+0.0", "-1.0, +0.0")
    assert compare_sheets.cell("auc", None) == Cell("-")
    titles = [compare_sheets.title(name) for name in ("accuracy", "tar_at_far_0.01", "d_prime")]
    assert titles == ["Accuracy, %", "TAR at FAR 0.01, %", "d'"]


def test_each_metric_has_a_sheet_with_the_mean_as_the_last_protocol(revision: Revision):
    accuracy, d_prime = compare_sheets.metric_sheets([revision])
    assert [[cell.text for cell in row[:2]] for row in accuracy.table.rows] == [
        [variant, protocol] for variant in ("base", "wild") for protocol in ("syn-lfw", "wild mean")
    ]
    assert [row[2].text for row in accuracy.table.rows] == ["62.5", "50.0", "87.5", "75.0"]
    assert [row[2] for row in d_prime.table.rows[:2]] == [Cell("2.00", "1.95, 2.10"), Cell("1.50", "1.45, 1.60")]
    other = named("other")
    vars(other)["results"] = frame.of({"base": {"home": {"domain": "external", "accuracy": entry(0.5)}}})
    accuracy, *_ = compare_sheets.metric_sheets([revision, other])
    assert [row[1].text for row in accuracy.table.rows] == ["syn-lfw", "home", "wild mean", "syn-lfw", "wild mean"]


def test_a_pipeline_that_cannot_be_read_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    Path("dvc.yaml").write_text("stages: {pack: {cmd: x, deps: ['${missing}']}}")
    with pytest.raises(InputError, match=r"^[^\n]*'dvc.yaml'[^\n]*'missing'$") as refused:
        revisions.resolve("workspace")
    assert refused.value.file == "workspace"


def test_numbers_that_are_equal_are_counted_and_left_out(revision: Revision):
    assert words(compare_sheets.number_sheet([revision])) == [["pack.gap", "0.5"], ["pack.nearest.min", "3"]]
    other = named("other")
    vars(other)["numbers"] = {"pack.gap": 0.5, "pack.nearest.min": 4, "pack.new": 1e-7}
    sheet = compare_sheets.number_sheet([revision, other])
    assert words(sheet) == [["pack.nearest.min", "3", "4"], ["pack.new", "-", "1e-07"]]
    assert sheet.title.endswith("1 more are equal")


def test_parameters_that_differ_are_found_in_sections_and_lists():
    first, other = named("first"), named("other")
    sizes = [{"width": 3, "depth": 4}, {"width": 5, "depth": 6}]
    vars(first)["params"] = {"pack": {"alpha": 0.5, "seed": 0}, "sizes": sizes, "seeds": [0]}
    more = [sizes[0], {"width": 5, "depth": 7}]
    vars(other)["params"] = {"pack": {"alpha": 1, "seed": 0}, "sizes": more, "seeds": [0, 1], "set": {"path": "x" * 50}}
    vars(other)["params"]["report"] = {"contrasts": {}}
    sheet, unknown, report = compare_sheets.parameter_sheets([first, other])
    assert words(report) == [["report.contrasts", "-", "{}"]]
    assert words(unknown) == [["set.path", "-", "x" * 36 + " ..."]]
    assert words(sheet) == [
        ["pack.alpha", "0.5", "1"],
        ["sizes.1.depth", "6", "7"],
        ["seeds", "[0]", "[0, 1]"],
    ]


def test_parameters_of_many_revisions_are_rows_of_those_that_agree():
    many = [named(name) for name in ("one", "two", "three")]
    for each, alpha in zip(many, (0.5, 1, 0.5), strict=True):
        vars(each)["params"] = {"pack": {"alpha": alpha, "seed": 0}}
    sheet, _, _ = compare_sheets.parameter_sheets(many)
    assert words(sheet) == [["pack.alpha", "one, three", "0.5"], ["pack.alpha", "two", "1"]]


def test_long_values_that_differ_late_do_not_look_alike():
    names = ["one", "two", "three"]
    many = [named(name) for name in names]
    for each, epoch in zip(many, (20, 24, 20), strict=True):
        vars(each)["params"] = {"pack": {"path": f"external/weights/{'long-' * 9}epoch-{epoch}.onnx"}}
    two, three = (words(compare_sheets.parameter_sheets(some)[0]) for some in (many[:2], many))
    assert [text.endswith("epoch-20.onnx") for text in two[0][1:]] == [True, False] and two[0][2].endswith("-24.onnx")
    assert [row[1] for row in three] == ["one, three", "two"] and all(len(row[2]) <= 40 for row in three)


def test_a_training_set_that_is_new_shows_all_its_parameters():
    first, other = named("first"), named("other")
    vars(first)["params"] = {"variants": {}, "train": {"batch": 60}}
    vars(other)["params"] = {"variants": {"more": {"width": 300, "depth": 14}}, "train": {"batch": 60, "new": 1}}
    sheet, unknown, _ = compare_sheets.parameter_sheets([first, other])
    assert words(sheet) == [["variants.more.width", "-", "300"], ["variants.more.depth", "-", "14"]]
    assert words(unknown) == [["train.new", "-", "1"]]
