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
from stages.reporting.page import Facts, Folded, Text
from stages.reporting.sections import audit, capacity, domains, opening
from stages.reporting.sections.inputs import Inputs
from stages.reporting.tables import Cell, Table
from stages.settings.report import Figures, Pictures, Report


def of(value: float, half: float = 0.01) -> dict[str, float]:
    return {"value": value, "low": value - half, "high": value + half}


def inputs(pack: dict[str, Any] | None = None, audit: dict[str, Any] | None = None) -> Inputs:
    """Return inputs for the opening and the audit, without training sets."""
    values = {"pack": {"alpha": 0.25}, "evaluate": {"confidence": 0.9}, "generate": {"backend": "embedded"}, "sets": {}}
    one = Pictures(identities=1, images=1)
    report = Report(figures=Figures(sheet=one, map=one), contrasts={})
    pack, audit = {**project.pack_report(), **(pack or {})}, {**project.audit_report(), **(audit or {})}
    return Inputs([], [], pack, audit, frame.of({}), values, report, {}, Path())


def packing_facts(**reports: Any) -> Facts:
    (facts,) = [block for block in opening.opening(inputs(**reports)) if isinstance(block, Facts)]
    return facts


def test_the_page_opens_with_the_packing():
    facts = packing_facts()
    assert facts.title == "Packing by hyperface, alpha 0.25"
    assert [cell.text for _, cell in facts.items] == ["30.04°", "4", "4", "4"]
    assert "71.50°" in facts.items[0][0] and "101.54°" in facts.items[0][0]
    assert [re.findall("packed|gallery|Gaussian", label)[0] for label, _ in facts.items[1:]] == [
        "packed", "gallery", "Gaussian",
    ]  # fmt: skip


def test_a_method_without_alpha_is_named_without_it():
    assert packing_facts(pack={"method": "gaussian"}).title == "Packing by gaussian"


def test_where_all_that_were_drawn_fit_more_may():
    capacity = project.audit_report()["capacity"]
    capacity["packed"] = {**capacity["packed"], "identities": of(6, 0)}
    assert [cell.text for _, cell in packing_facts(audit={"capacity": capacity}).items[1:]] == ["≥ 6", "4", "4"]


def test_the_witness_stands_beside_the_judge():
    beside = inputs(audit={"witness": project.witness_report()})
    assert [block.text for block in opening.opening(beside) if isinstance(block, Text)][1] == " ".join([
        prose.say("facts capacity", allowed=5),
        prose.say("facts witness", recogniser="dlib", packed="3 [2 to 5]", gallery="2 [1 to 3]", gaussian="1 [1 to 2]"),
    ])  # fmt: skip
    rows = {row[0].text: row[1:] for row in audit.audit_summary(beside.audit).rows}
    alone = [row[0].text for row in audit.audit_summary(inputs().audit).rows]
    assert [label for label in rows if label not in alone] == ["the right person comes first (witness), %"]
    assert [cell.text for cell in rows["the right person comes first (witness), %"]] == ["61.0", "61.0", "–"]
    assert "".join(block.text for block in opening.opening(inputs()) if isinstance(block, Text)).count("witness") == 0


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
            artifacts.write_array(tmp_path / "data/audit" / name, np.full((5, 3), 0.1))
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
    assert [file.name for file, _ in drawn.items] == ["capacity.png", "capacity-witness.png"][: len(by)]


@pytest.mark.parametrize(
    ("studio", "wild", "verdict"),
    [(0.1, 0.2, "map narrower"), (0.27, 0.24, "map wider"), (0.195, 0.2, "map alike"), (0.205, 0.2, "map alike")],
)
def test_the_map_says_too_narrow_only_when_synthetic_people_are(studio: float, wild: float, verdict: str):
    text = domains.widths({"studio": of(studio), "wild": of(wild)}, {"studio": 40, "wild": 30})
    assert [name for name, sentence in prose.texts().items() if name.startswith("map ") and sentence in text] == [
        verdict
    ]
    assert f"studio {studio:.2f}" in text and "40 people" in text and "30 people" in text


@pytest.mark.parametrize(("mixup", "verdict"), [(0.6, "wider"), (0.205, "not wider"), (0.1, "not wider")])
def test_the_map_says_whether_mixup_widens(mixup: float, verdict: str):
    text = domains.widths({"studio": of(0.2), "identity mixup": of(mixup)}, {"studio": 9, "identity mixup": 9})
    assert prose.say(f"map mixup {verdict}") in text
    assert not any(prose.texts()[f"map {side}"] in text for side in ("narrower", "alike", "wider"))  # there is no wild


@pytest.mark.parametrize(("leaks", "verdict"), [(0.5, "more"), (0.105, "alike"), (0.01, "less")])
def test_leakage_is_read_beside_that_of_unrelated_people(leaks: float, verdict: str):
    leakage = {"rate": of(leaks), "unrelated_rate": of(0.1)}
    text = audit.audited({**project.audit_report(), "leakage": leakage})
    assert prose.say(f"audit leakage {verdict}", rate=100 * leaks, unrelated=10) in text


def test_the_audit_is_a_summary_and_its_dump_is_folded():
    _, _, summary, folded = audit.audit(inputs())
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
