"""Which sentences the sections say depends on the numbers of the run."""

import ast
import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reporting import project

from stages.common import artifacts
from stages.reporting import figures, frame, page, prose, sections
from stages.reporting.blocks import Claim, Folded, Heading, Text
from stages.reporting.sections import audit, capacity, domains, opening, packing
from stages.reporting.sections.inputs import Inputs
from stages.reporting.tables import Cell, Table
from stages.settings.report import Figures, Pictures, Report


def of(value: float, half: float = 0.01) -> dict[str, float]:
    return {"value": value, "low": value - half, "high": value + half}


def inputs(pack: dict[str, Any] | None = None, audit: dict[str, Any] | None = None) -> Inputs:
    """Return inputs for the sections that need no training sets."""
    values = {
        "pack": {"alpha": 0.25}, "evaluate": {"confidence": 0.9}, "generate": {"backend": "embedded"}, "sets": {},
        "report": {"figures": {}},
    }  # fmt: skip
    one = Pictures(identities=1, images=1)
    report = Report(figures=Figures(sheet=one, map=one), contrasts={})
    pack, audit = {**project.pack_report(), **(pack or {})}, {**project.audit_report(), **(audit or {})}
    return Inputs([], [], pack, audit, frame.of({}), {}, values, report, {}, Path())


def found(clear: bool, detail: bool = False) -> Claim:
    return Claim(Cell(f"{clear} {detail}"), "", "", "", clear, detail=detail)


def test_what_is_clear_stands_first_and_details_are_folded():
    plain, claims = Text("section"), [found(False), found(True, True), found(True), found(False, True)]
    blocks = opening.opened(inputs(), [claims[0], plain, *claims[1:]])
    about, clear, _, first, folded, luck, _, second, other, last = blocks
    assert isinstance(about, Text) and about.key and last == plain
    assert [block.text for block in (clear, luck) if isinstance(block, Heading)] == [
        "What is clear",
        "What may be luck",
    ]
    assert (first, second) == (claims[2], claims[0])
    assert [block.blocks for block in (folded, other) if isinstance(block, Folded)] == [[claims[1]], [claims[3]]]


def test_nothing_is_headed_that_was_not_found():
    assert [type(block) for block in opening.opened(inputs(), [found(True)])] == [Text, Heading, Text, Claim]
    assert [type(block) for block in opening.opened(inputs(), [])] == [Text]


def test_the_packing_is_set_beside_its_bound():
    claim = packing.claim(inputs())
    assert (claim.number.text, claim.clear) == ("30.04°", True)
    assert all(number in claim.sentence for number in ("71.50°", "101.54°", "0.25", "6 rows", "16 dimensions"))
    assert "alpha" not in packing.claim(inputs(pack={"method": "gaussian"})).sentence


@pytest.mark.parametrize(
    ("gallery", "gaussian", "verdict"), [(2, 2, "more"), (6, 6, "fewer"), (2, 4, "alike"), (2, 6, "alike")]
)
def test_capacities_differ_where_the_interval_lies_apart_from_both(gallery: int, gaussian: int, verdict: str):
    fits = {"packed": of(4, 1), "gallery": of(gallery, 0.5), "gaussian": of(gaussian, 0.5)}
    report = project.audit_report()["capacity"]
    report |= {kind: {**report[kind], "identities": entry} for kind, entry in fits.items()}
    claim = capacity.claim(inputs(audit={"capacity": report}))
    assert claim.verdict == prose.say(f"verdict capacity {verdict}") and claim.clear == (verdict != "alike")
    assert (claim.number, claim.unit) == (Cell("4", "3 to 5"), prose.say("claim capacity unit", drawn=6))


def test_the_witness_stands_beside_the_judge():
    beside = inputs(audit={"witness": project.witness_report()})
    fits = {"packed": "3 [2 to 5]", "gallery": "2 [1 to 3]", "gaussian": "1 [1 to 2]"}
    said = prose.say("claim capacity witness", recogniser="dlib", **fits)
    assert capacity.claim(beside).sentence == f"{capacity.claim(inputs()).sentence} {said}"
    rows = {row[0].text: row[1:] for row in audit.audit_summary(beside.audit).rows}
    alone = [row[0].text for row in audit.audit_summary(inputs().audit).rows]
    assert [label for label in rows if label not in alone] == ["the right person comes first (witness), %"]
    assert [cell.text for cell in rows["the right person comes first (witness), %"]] == ["61.0", "61.0", "–"]


def test_who_tells_by_no_distance_is_measured_at_its_own_threshold_alone():
    report = project.witness_report()
    text = prose.say("witness", recogniser="dlib", threshold=0.977, true_match=75)
    usual = prose.say("witness usual", distance=0.6, taken=82)
    assert capacity.witnessed(report) == f"{text} {usual}"
    del report["usual_threshold"]
    assert capacity.witnessed(report) == text


@pytest.mark.parametrize("by", [["judge"], ["judge", "witness"]])
def test_each_network_has_its_curves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: list[str]):
    for kind in project.CONTROL:
        for name in (f"confused-{kind}.npy", *[f"witness-confused-{kind}.npy"] * ("witness" in by)):
            artifacts.write_array(tmp_path / "data/judged" / name, np.full((5, 3), 0.1))
    monkeypatch.chdir(tmp_path)
    Path("figures").mkdir()
    report = {"witness": project.witness_report()} if "witness" in by else {}
    blocks = capacity.capacities(dataclasses.replace(inputs(audit=report), folder=Path("figures")))
    (table,) = [block for block in blocks if isinstance(block, Table)]
    (drawn,) = [block for block in blocks if isinstance(block, page.Figures)]
    assert table.header[1 : 1 + len(by)] == {
        1: ["identities that fit"], 2: ["identities that fit, by the judge", "by the witness"],
    }[len(by)]  # fmt: skip
    assert [cell.text for cell in table.rows[0][1 : 1 + len(by)]] == ["4", "3"][: len(by)]
    assert [picture.file.name for picture in drawn.pictures] == ["capacity.png", "capacity-witness.png"][: len(by)]


def verdicts(distance: dict[str, dict[str, float]]) -> list[tuple[str, bool]]:
    claims = [claim for claim in domains.claims(inputs(), distance) if isinstance(claim, Claim)]
    return [(claim.verdict, claim.clear) for claim in claims]


@pytest.mark.parametrize(
    ("studio", "wild", "verdict"),
    [(0.1, 0.2, "narrower"), (0.27, 0.24, "wider"), (0.195, 0.2, "alike"), (0.205, 0.2, "alike")],
)
def test_synthetic_people_are_too_narrow_only_where_their_interval_lies_below(studio: float, wild: float, verdict: str):
    said = verdicts({"studio": of(studio), "wild": of(wild)})
    assert said == [(prose.say(f"map {verdict}"), verdict != "alike")]


@pytest.mark.parametrize(("mixup", "verdict"), [(0.6, "wider"), (0.205, "alike"), (0.1, "narrower")])
def test_mixup_widens_only_where_its_interval_lies_above(mixup: float, verdict: str):
    said = verdicts({"studio": of(0.2), "identity mixup": of(mixup)})
    assert said == [(prose.say(f"map mixup {verdict}"), verdict != "alike")]


def test_the_map_names_each_distance_and_on_how_many_people_it_was_measured():
    text = domains.distances({"studio": of(0.2), "wild": of(0.3)}, {"studio": 40, "wild": 30})
    assert "studio 0.20 (0.19 to 0.21, 40 people)" in text and "wild 0.30 (0.29 to 0.31, 30 people)" in text


@pytest.mark.parametrize(("leaks", "verdict"), [(0.5, "more"), (0.105, "alike"), (0.01, "less")])
def test_leakage_is_read_beside_that_of_unrelated_people(leaks: float, verdict: str):
    leakage = {"rate": of(leaks), "unrelated_rate": of(0.1), "false_match_rate": 0.05}
    claim = audit.claim({**project.audit_report(), "leakage": leakage})
    assert claim.verdict == prose.say(f"verdict leakage {verdict}") and claim.clear == (verdict != "alike")
    assert claim.number.text == f"{100 * leaks:.1f}" and "10.0 % [9.0 to 11.0]" in claim.sentence


def test_the_audit_is_a_summary_and_its_dump_is_folded():
    _, _, _, summary, folded = audit.audit(inputs())
    assert isinstance(summary, Table) and isinstance(folded, Folded) and isinstance(folded.blocks[0], Table)
    assert len(summary.rows) < len(folded.blocks[0].rows) / 2
    rows = {row[0].text: [cell.text for cell in row[1:]] for row in summary.rows}
    assert rows["taken for someone of the gallery, %"] == ["81.0", "–", "5.0"]
    assert rows["cosine to the nearest other person"] == ["0.31", "–", "–"]
    assert rows["dimensions that the people fill"] == ["5.7", "–", "5.7"]


def test_every_text_is_said_and_none_is_missing():
    files = Path(sections.__file__ or "").parent.glob("*.py")
    nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text()))]
    calls = [node for node in nodes if isinstance(node, ast.Call)]
    names_said = [c.args[0] for c in calls if isinstance(c.func, ast.Name) and c.func.id == "say"]
    parts = [name.values if isinstance(name, ast.JoinedStr) else [name] for name in names_said]
    patterns = [
        "".join(re.escape(p.value) if isinstance(p, ast.Constant) and isinstance(p.value, str) else ".+" for p in part)
        for part in parts
    ]
    names = list(prose.texts())
    assert [name for name in names if not any(re.fullmatch(pattern, name) for pattern in patterns)] == []
    assert [pattern for pattern in patterns if not any(re.fullmatch(pattern, name) for name in names)] == []


def test_what_may_be_wider_than_the_page_says_that_it_scrolls(tmp_path: Path):
    file = figures.sheet(np.zeros((96, 96, 3), np.uint8), "a", "b", tmp_path / "x.jpg")
    table, text = Table(["a"], [[Cell("1")]]), Text("t")
    for blocks, hints in (
        ([table, text, Folded("more", [table])], 2),
        ([page.Figures([(file, "")], wide=True)], 1),
        ([page.Figures([(file, "")])], 0),
    ):
        assert page.html(blocks, "T").count(page.HINT) == hints
