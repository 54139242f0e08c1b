"""Fixtures: a repository in which one stage ran well."""

import shutil
import subprocess
from pathlib import Path

import pytest
from making import PIPELINE, STAGE, change, start
from tiny import git_and_dvc


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository in which the stage ran well and git holds the metric."""
    folder = tmp_path_factory.mktemp("repository")
    (folder / "make.py").write_text(STAGE)
    (folder / "dvc.yaml").write_text(PIPELINE)
    (folder / ".gitignore").write_text("/data\n")
    change(folder, word="first")
    git_and_dvc(folder)
    with start(folder, "dvc", "repro") as started:
        assert started.communicate(timeout=60) and started.returncode == 0
    subprocess.run("git add -A && git commit -qm made", shell=True, cwd=folder, check=True)
    return folder


@pytest.fixture
def made(repository: Path, tmp_path: Path) -> Path:
    return shutil.copytree(repository, tmp_path / "made")
