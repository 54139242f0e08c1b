"""The README shows what reports/metrics.json says."""

import pytest
from tiny import ROOT

from stages.common import artifacts, params
from stages.tools import readme


def test_the_table_of_the_readme_is_the_committed_one():
    names = list(params.read(ROOT / "params.yaml")["variants"])
    text = (ROOT / "README.md").read_text()
    assert readme.insert(text, readme.table(artifacts.read_json(ROOT / "reports/metrics.json"), names)) == text


def test_what_stands_between_the_markers_is_replaced():
    text = f"a\n{readme.BEGIN}\nold\n{readme.END}\nb"
    assert readme.insert(text, "new") == f"a\n{readme.BEGIN}\nnew\n{readme.END}\nb"
    with pytest.raises(ValueError, match="expected one"):
        readme.insert("a", "new")
