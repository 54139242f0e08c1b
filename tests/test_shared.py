"""Stages that share their work over ranks write the same bytes on any number of them."""

import os
import shutil
from pathlib import Path

import pytest
from making import start

from stages.common import artifacts

STAGES = {"embed": ("data/embed",), "audit": ("data/audit", "reports/audit.json")}
STAGES["evaluate base"] = ("data/evaluate/base", "reports/evaluate/base.json")


def contents(outputs: tuple[str, ...]) -> dict[str, str]:
    """Return the digest of every file of some outputs."""
    files = [file for out in outputs for file in (Path(out), *Path(out).glob("*")) if file.is_file()]
    return {str(file): artifacts.digest(file) for file in files}


@pytest.mark.parametrize("stage", STAGES)
def test_two_ranks_write_the_bytes_of_one(stage: str, copy: Path):
    alone = contents(STAGES[stage])
    for out in STAGES[stage]:
        shutil.rmtree(out) if Path(out).is_dir() else os.remove(out)
    name, *words = stage.split()
    started = start(copy, "stages.common.launch", f"stages.{name}", *words)
    errors = started.communicate(timeout=120)[1]
    assert started.returncode == 0, errors
    assert alone and contents(STAGES[stage]) == alone
    assert not list(Path(".scratch").iterdir())
