"""The sections on templates and groups: what the reports hold, in tables."""

from pathlib import Path

import pytest
from reporting import project

from stages.common.variants import Variants
from stages.reporting import frame
from stages.reporting.blocks import Folded, Text
from stages.reporting.results import Variant
from stages.reporting.sections import templates
from stages.reporting.sections.inputs import Inputs
from stages.reporting.tables import Table
from stages.settings.report import Figures, Pictures, Report


def of(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.1, "high": value + 0.1}


TEMPLATES = {
    "ijb": {
        "domain": "wild", "comparisons": 4800, "genuine": 120, "templates": 160, "identities": 40,
        "unresolved": ["FAR 0.0001 takes 10,000 impostor comparisons, here are 4,680"],
        "tar_at_far_0.01": of(0.5), "tar_at_far_0.0001": None,
    },
    "ijb-1n": {
        "domain": "wild", "probes": 120, "galleries": {"G1": 15, "G2": 15}, "identities": 40,
        "rank_1": of(0.75),
    },
}  # fmt: skip
GROUPS = {
    "lfw-by-sex": {
        "domain": "wild", "pairs": {"female": 1911, "male": 2558},
        "accuracy_female": of(0.8), "accuracy_male": of(0.7), "accuracy_gap": of(0.1),
    },
}  # fmt: skip


@pytest.fixture
def inputs(tmp_path: Path) -> Inputs:
    """Return inputs of two variants, of which one scored .1 less at rank 1."""
    training = Variants(source="audit", mix="none", width=3, depth=2)
    less = {**TEMPLATES, "ijb-1n": {**TEMPLATES["ijb-1n"], "rank_1": of(0.65)}}
    others = {"base": {"templates": TEMPLATES, "groups": GROUPS}, "less": {"templates": less, "groups": GROUPS}}
    variants = [Variant(name, training, {}, {}, own, {}) for name, own in others.items()]
    one = Pictures(identities=1, images=1)
    report = Report(figures=Figures(sheet=one, map=one), contrasts={})
    shows = {("ijb-1n", "rank_1"): 0.123, ("lfw-by-sex", "accuracy_gap"): 0.045}
    colours = dict.fromkeys(others, "#000")
    return Inputs(variants, [], project.pack_report(), {}, frame.of({}), shows, {}, report, colours, tmp_path)


def test_each_benchmark_of_templates_has_a_table(inputs: Inputs):
    blocks = templates.templates(inputs)
    verified, searched = (block for block in blocks if isinstance(block, Table))
    assert verified.header == ["training set", "TAR at FAR 0.01"]  # what nobody could measure is told in words
    assert [[cell.text for cell in row] for row in verified.rows] == [
        ["base", "50.0"],
        ["less", "50.0"],
        ["would show", "–"],
    ]
    assert searched.header == ["training set", "rank 1"] and searched.rows[0][1].interval == "65.0 to 85.0"
    assert [row[1].text for row in searched.rows] == ["75.0", "65.0", "12.3"]
    assert (verified.name, searched.name) == ("ijb", "ijb-1n")
    texts = [block.text for block in blocks if isinstance(block, Text)]
    assert "FAR 0.0001 takes 10,000 impostor comparisons, here are 4,680." in texts
    assert any("each of 120 probes of 40 people is searched in each of 2 galleries of 15 templates" in t for t in texts)


def test_each_grouping_has_a_table_with_its_gap(inputs: Inputs):
    (folded,) = [block for block in templates.groups(inputs) if isinstance(block, Folded)]
    (table,) = [block for block in folded.blocks if isinstance(block, Table)]
    assert table.header == ["training set", "female, 1,911 pairs", "male, 2,558 pairs", "best − worst"]
    assert [cell.text for cell in table.rows[0]] == ["base", "80.0", "70.0", "10.0"]
    assert [cell.text for cell in table.rows[-1]] == ["would show", "–", "–", "4.5"]


def test_a_run_without_them_has_no_section(inputs: Inputs):
    for variant in inputs.variants:
        variant.others["templates"] = variant.others["groups"] = {}
    assert templates.templates(inputs) == templates.groups(inputs) == []
