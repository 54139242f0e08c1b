"""What is broken in DVC's cache and beside it is removed, and comes back."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tiny import ENVIRONMENT, git_and_dvc

PIPELINE = """
stages:
  file: {cmd: echo one > file, outs: [file]}
  folder: {cmd: mkdir folder && echo two > folder/a && echo three > folder/b, deps: [file], outs: [folder]}
"""
WHOLE = {"file": "one\n", "folder/a": "two\n", "folder/b": "three\n"}


def run(folder: Path, *words: str) -> str:
    command = [sys.executable, "-m", *words]
    done = subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=True)
    return done.stdout


def contents(folder: Path) -> dict[str, str]:
    return {name: (folder / name).read_text() for name in WHOLE if (folder / name).exists()}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    (folder / "dvc.yaml").write_text(PIPELINE)
    git_and_dvc(folder)
    run(folder, "dvc", "repro")
    run(folder, "dvc", "remote", "add", "-d", "shelf", str(folder / "shelf"))
    run(folder, "dvc", "push")
    return folder


def objects(folder: Path) -> dict[str, Path]:
    """Return the objects of the cache by their content, folders' listings as `listing`."""
    files = (folder / ".dvc/cache/files/md5").glob("??/*")
    return {"listing" if file.suffix else file.read_text(): file for file in files}


@pytest.mark.parametrize("content", ["one\n", "two\n", "listing"])
@pytest.mark.parametrize("back", ["repro", "pull"])
def test_a_broken_object_comes_back(made: Path, tmp_path: Path, content: str, back: str):
    folder = shutil.copytree(made, tmp_path / "copy")
    broken = objects(folder)[content]
    broken.chmod(0o644)
    broken.write_text("[]")
    broken.chmod(0o444)
    for name in WHOLE:
        (folder / name).unlink()
    if content != "listing":  # DVC brings back what is broken, and is content
        run(folder, "dvc", "checkout")
        assert contents(folder) != WHOLE and "up to date" in run(folder, "dvc", "status")
    assert run(folder, "stages.tools.verify").startswith(f"removed {1 if content == 'listing' else 2} broken files;")
    run(folder, "dvc", back)
    assert contents(folder) == WHOLE
    assert run(folder, "stages.tools.verify") == "removed 0 broken files\n"


def test_what_was_changed_by_hand_stays(made: Path, tmp_path: Path):
    folder = shutil.copytree(made, tmp_path / "copy")
    (folder / "folder/a").write_text("mine\n")
    assert run(folder, "stages.tools.verify") == "removed 0 broken files\n"
    assert (folder / "folder/a").read_text() == "mine\n"
