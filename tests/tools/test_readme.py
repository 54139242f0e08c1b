"""The README shows what reports/metrics.json says, both as they are committed: a run may have written others since."""

import json
import subprocess
from pathlib import Path

import pytest
from tiny import ROOT

from stages.common import params
from stages.tools import readme


def committed(file: str) -> str:
    shown = subprocess.run(["git", "show", f"HEAD:{file}"], cwd=ROOT, capture_output=True, check=False)
    if shown.returncode:
        pytest.skip("not a clone")
    return shown.stdout.decode()


def test_the_table_of_the_readme_is_the_committed_one(tmp_path: Path):
    (tmp_path / "params.yaml").write_text(committed("params.yaml"))
    names = list(params.read(tmp_path / "params.yaml")["variants"])
    text = committed("README.md")
    assert readme.insert(text, readme.table(json.loads(committed("reports/metrics.json")), names)) == text


def test_what_stands_between_the_markers_is_replaced():
    text = f"a\n{readme.BEGIN}\nold\n{readme.END}\nb"
    assert readme.insert(text, "new") == f"a\n{readme.BEGIN}\nnew\n{readme.END}\nb"
    with pytest.raises(ValueError, match="expected one"):
        readme.insert("a", "new")
