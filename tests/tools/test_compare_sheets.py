"""The sheets of `compare` on revisions that are a folder of reports, without git or DVC."""

from pathlib import Path

import pytest

from stages.common import artifacts
from stages.tools import compare
from stages.tools.compare import Revision


def entry(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.05, "high": value + 0.1}


@pytest.fixture
def revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Revision:
    """Return a working tree with two variants and one report of numbers."""
    monkeypatch.chdir(tmp_path)
    for name, value in (("base", 0.5), ("wild", 0.75)):
        protocols = {"syn-lfw": {"domain": "studio", "accuracy": entry(value + 0.125), "d_prime": entry(2)}}
        mean = {"accuracy": entry(value), "d_prime": entry(1.5), "per_seed": [1, 2]}
        artifacts.write_json(f"reports/evaluate/{name}.json", {"protocols": protocols, "wild_mean": mean})
    artifacts.write_json("reports/pack.json", {"gap": 0.5, "nearest": {"min": 3}, "method": "code", "ok": True})
    return compare.resolve("workspace")


def test_numbers_are_found_under_dotted_names_and_truth_is_none():
    nested = {"a": {"b": 1, "c": True, "d": [1, 2]}, "e": 2.5, "f": "3", "g": None}
    assert list(compare.flat(nested)) == [("a.b", 1), ("e", 2.5)]


def test_shares_are_shown_in_percent_and_distances_as_they_are():
    assert compare.shown("accuracy", entry(0.5)) == "50.0 [45.0, 60.0]"
    assert compare.shown("d_prime", entry(1.5)) == "1.50 [1.45, 1.60]"
    assert compare.shown("auc", {"value": 0.004, "low": -0.01, "high": 0.0}, "+") == "+0.4 [-1.0, +0.0]"
    assert compare.shown("auc", None) == "-"
    titles = [compare.title(name) for name in ("accuracy", "tar_at_far_0.01", "d_prime")]
    assert titles == ["Accuracy, %", "TAR at FAR 0.01, %", "d'"]


def test_each_metric_has_a_sheet_with_the_mean_as_the_last_protocol(revision: Revision):
    accuracy, d_prime, mean = compare.metric_sheets([revision])
    assert [row[:2] for row in accuracy.rows] == [
        [variant, protocol] for variant in ("base", "wild") for protocol in ("syn-lfw", "wild mean")
    ]
    assert [row[2][:4] for row in accuracy.rows] == ["62.5", "50.0", "87.5", "75.0"]
    assert accuracy.brief and not d_prime.brief
    assert mean.rows == [[variant, "d'", "1.50 [1.45, 1.60]"] for variant in ("base", "wild")]


def test_numbers_that_are_equal_are_counted_and_left_out(revision: Revision):
    assert compare.number_sheet([revision]).rows == [["pack.gap", "0.5"], ["pack.nearest.min", "3"]]
    other = Revision("other", None)
    vars(other)["numbers"] = {"pack.gap": 0.5, "pack.nearest.min": 4, "pack.new": 1e-7}
    sheet = compare.number_sheet([revision, other])
    assert sheet.rows == [["pack.nearest.min", "3", "4"], ["pack.new", "-", "1e-07"]]
    assert sheet.title.endswith("1 more are equal")
    assert "| pack.new | - | 1e-07 |" in sheet.markdown().splitlines()
