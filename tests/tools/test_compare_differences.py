"""Verdicts of `compare`: on estimates that are known, in tables and in words."""

from collections.abc import Mapping
from functools import cache

import numpy as np
import pytest
from dvc.api import DVCFileSystem
from rich.console import Console

from stages.common.evaluate import Evaluate, Rates
from stages.metrics.bootstrap import Estimate
from stages.reporting import frame
from stages.tools import compare_standings, compare_words
from stages.tools.compare_differences import Comparison, reading
from stages.tools.compare_sheets import Sheet
from stages.tools.revisions import Revision

FILES = cache(DVCFileSystem)  # takes a second to open, and is not read
SETTINGS = Evaluate(rates=Rates(fars=[0.1]), confidence=0.9, replicates=20, seed=0)


def revision(name: str, scored: Mapping[str, Mapping[str, float]]) -> Revision:
    """Return a revision with the accuracy of each variant on each protocol of the studio."""
    found = Revision(name, None, FILES())
    vars(found)["results"] = frame.of(
        {v: {p: {"domain": "studio", "accuracy": entry(x)} for p, x in on.items()} for v, on in scored.items()}
    )
    return found


def entry(value: float) -> dict[str, object]:
    return {"value": value, "low": value - 0.1, "high": value + 0.1, "per_seed": [value] * 3}


def estimate(low: float, high: float, seeds: int) -> Estimate:
    """Return an accuracy halfway between `low` and `high`, over which its replicates are spread."""
    replicates = np.linspace(low, high, 20)[:, None]
    return Estimate(("accuracy",), np.full((seeds, 1), replicates.mean()), replicates)


def comparison(seeds: int) -> Comparison:
    """Return a comparison of one variant: by much on `one`, and by less than chance on `two`, both 5 points or more."""
    first, other = (revision(name, {"base": {"one": x, "two": x}}) for name, x in (("first", 0.5), ("other", 0.6)))
    pairs = {"one": (0.6, 0.7), "two": (0.4, 0.7)}
    half = estimate(0.5, 0.5, seeds)
    estimates = {("base", name): (half, estimate(*ends, seeds)) for name, ends in pairs.items()}
    return Comparison([first, other], SETTINGS, {"other": estimates}, [])


def words(sheet: Sheet) -> list[list[str]]:
    return [[cell.text for cell in row] for row in sheet.table.rows]


@pytest.mark.parametrize(
    ("seeds", "verdicts", "bold"),
    [(2, ["interval only", "interval only"], [False, False]), (3, ["higher", "not separated"], [True, False])],
)
def test_a_verdict_needs_three_seeds_and_a_difference_that_is_clear(seeds: int, verdicts: list[str], bold: list[bool]):
    sheet = compare_standings.differences(comparison(seeds), "accuracy")
    shown = [["base", name, "other", value] for name, value in (("one", "+15.0"), ("two", "+5.0"))]
    assert words(sheet) == [[*row, verdict] for row, verdict in zip(shown, verdicts, strict=True)]
    assert [row[3].strong for row in sheet.table.rows] == bold


def test_protocols_with_which_the_page_opens_pay_for_their_own_number_only():
    """The accuracy on a wild protocol is corrected among the others, apart from that on the mean of them."""
    first, other = (revision(name, {"base": {"wild": 0.5}}) for name in ("first", "other"))
    for each in (first, other):
        wild = {"domain": "wild", "accuracy": entry(0.5)}
        vars(each)["results"] = frame.of({"base": {"lfw": wild, "cplfw": wild, "wild": wild}})
    two = estimate(0.5, 0.5, 3), estimate(0.6, 0.7, 3)
    estimates = {("base", name): two for name in ("lfw", "cplfw", "wild")}
    found = Comparison([first, other], SETTINGS, {"other": estimates}, []).contrasts
    assert {place[2]: contrast.among for place, contrast in found.items()} == {"lfw": 2, "cplfw": 2, "wild": 1}


def test_mixed_numbers_of_seeds_are_told():
    one, few, many = (comparison(seeds) for seeds in (1, 2, 3))
    estimates = many.estimates["other"] | {("base", "two"): few.estimates["other"]["base", "two"]}
    mixed = compare_words.family(Comparison(many.revisions, SETTINGS, {"other": estimates}, []))
    assert "Bold" in mixed and mixed.endswith("2 training seeds give no verdict, 3 do.")
    assert compare_words.family(few) == "2 training seeds give no verdict, 3 do."
    assert compare_words.family(one) == "1 training seed gives no verdict, 3 do."
    assert "verdict" not in compare_words.family(many)
    assert compare_words.would_show(list(few.lead.values())) == ""  # seeds that give no verdict show nothing
    assert "would show" in compare_words.would_show(list(many.lead.values()))


def test_a_difference_that_is_clear_and_negative_is_lower():
    first, other = (revision(name, {"base": {"one": x}}) for name, x in (("first", 0.65), ("other", 0.5)))
    estimates = {("base", "one"): (estimate(0.6, 0.7, 3), estimate(0.5, 0.5, 3))}
    lower = Comparison([first, other], SETTINGS, {"other": estimates}, [])
    assert [reading(contrast) for contrast in lower.lead.values()] == ["lower"]
    (line,) = compare_words.statements(lower)
    assert line == "Accuracy of other against first. Lower: base on one by -15.0 [-20.2, -9.8]."


def test_what_is_clear_comes_first_in_words_and_has_its_points():
    (line,) = compare_words.statements(comparison(3))
    assert line.startswith("Accuracy of other against first. Higher: base on one by +15.0 [+")
    assert line.endswith("]. Not separated: base on two.")


def test_each_revision_has_its_value_beside_the_first_and_a_reason_where_nothing_is_paired():
    scored = {"first": {"a": 0.5, "b": 0.6}, "same": {"a": 0.5, "b": 0.7}, "alone": {"b": 0.6, "c": 0.4}}
    revisions = [revision(name, {v: {"one": x} for v, x in on.items()}) for name, on in scored.items()]
    unpaired = Comparison(revisions, SETTINGS, {"same": {}, "alone": {}}, [])
    (sheet,) = compare_standings.accuracies(unpaired)
    assert words(sheet) == [
        ["a", "first", "50.0", "", ""],
        ["a", "same", "50.0", "-", "equal"],
        ["b", "first", "60.0", "", ""],
        ["b", "same", "70.0", "-", "not paired"],
        ["b", "alone", "60.0", "-", "equal"],
        ["c", "alone", "40.0", "", ""],
    ]
    assert compare_words.statements(unpaired) == [
        "Accuracy of same against first. Not paired: b. Equal: a.",
        "Accuracy of alone against first. Equal: b.",
    ]


def test_every_difference_pays_for_the_number_of_those_it_stands_with():
    three = comparison(3)
    one, two = three.contrasts.values()
    assert one.p == pytest.approx(2 * one.difference.p) and two.p == pytest.approx(two.difference.p)
    assert (one.among, one.level) == (2, pytest.approx(0.1))
    assert "2 here, 0 more below" in compare_words.family(three)
    assert compare_words.family(comparison(2)) == "2 training seeds give no verdict, 3 do."


@pytest.mark.parametrize("columns", [80, 66])
def test_no_line_is_wider_than_the_terminal(columns: int):
    name = "a-long-name-of-a-revision"
    first, other = (revision(x, {"identity-mixup": {"one": value}}) for x, value in ((name, 0.5), (f"{name}s", 0.35)))
    estimates = {("identity-mixup", "one"): (estimate(0.5, 0.5, 3), estimate(0.3, 0.4, 3))}
    (sheet,) = compare_standings.accuracies(Comparison([first, other], SETTINGS, {other.name: estimates}, []))
    console = Console(width=columns)
    with console.capture() as printed:
        console.print(sheet.rich(columns))
    lines = [line.rstrip() for line in printed.get().splitlines()]
    assert max(map(len, lines)) <= columns
    assert sum("lower" in line for line in lines) == 1
    assert any(line.split() == ["identity-mixup"] for line in lines)  # above its revisions
