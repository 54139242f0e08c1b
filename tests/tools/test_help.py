"""Every module that can be run answers --help with its docstring, and does nothing else."""

import runpy
import sys
from pathlib import Path

import pytest
from tiny import ROOT, working_in

RUN = sorted(
    ".".join(file.relative_to(ROOT).with_suffix("").parts)
    for file in (ROOT / "stages").rglob("*.py")
    if 'if __name__ == "__main__":' in file.read_text()
)


@pytest.mark.filterwarnings("ignore:'stages:RuntimeWarning")  # runpy's, of what another test has imported
@pytest.mark.parametrize("module", RUN)
def test_help_is_the_docstring(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(sys, "argv", [module, "--help"])
    with working_in(tmp_path):
        try:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        except SystemExit as ended:
            assert not ended.code
    first = (ROOT / Path(*module.split("."))).with_suffix(".py").read_text().splitlines()[0].strip('"')
    assert first in capsys.readouterr().out
    assert not list(tmp_path.iterdir())
