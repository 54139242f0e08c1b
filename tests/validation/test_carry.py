"""What lies under data/external is pushed, checked out and kept where DVC tracks it, and goes along to experiments."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tiny import ENVIRONMENT, ROOT, git_and_dvc

PIPELINE = f"""
stages:
  validate:
    cmd:
      - {sys.executable} -m stages.validation.carry
      - find data/external -type f -not -name '*.dvc' | sort | xargs grep -H . > seen
    deps: [data/external]
    params: [alpha]
    outs: [seen: {{cache: false}}]
"""
MINE = Path("data/external/benchmarks/mine.bin")
FOLDER = Path("data/external/weights/mine")


def run(folder: Path, *words: str) -> str:
    command = [sys.executable, "-m", *words]
    done = subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def commit(folder: Path) -> None:
    subprocess.run("git add -A && git commit -qm all", shell=True, cwd=folder, check=True)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository with a file and a folder that DVC tracks, kept where the project keeps them."""
    folder = tmp_path_factory.mktemp("repository")
    shutil.copy(ROOT / ".gitignore", folder)
    (folder / "dvc.yaml").write_text(PIPELINE)
    (folder / "params.yaml").write_text("alpha: 1\n")
    for file, text in ((MINE, "tracked"), (FOLDER / "net.onnx", "weights")):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(text)
    git_and_dvc(folder)
    run(folder, "dvc", "add", str(MINE), str(FOLDER))
    run(folder, "dvc", "repro")
    commit(folder)
    return folder


def test_what_dvc_tracks_is_pushed_checked_out_and_kept(repository: Path, tmp_path: Path):
    tracked = subprocess.check_output(["git", "ls-files", "data"], cwd=repository, text=True).split()
    assert sorted(tracked) == [f"{MINE}.dvc", f"{FOLDER}.dvc"]
    run(repository, "dvc", "remote", "add", "-q", "--local", "--default", "shelf", str(tmp_path / "shelf"))
    run(repository, "dvc", "push")
    run(repository, "dvc", "gc", "-w", "-f")
    (repository / MINE).unlink()
    run(repository, "dvc", "checkout")
    assert (repository / MINE).read_text() == "tracked"
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", repository, clone], check=True)
    run(clone, "dvc", "remote", "add", "-q", "--local", "--default", "shelf", str(tmp_path / "shelf"))
    run(clone, "dvc", "pull")
    assert (clone / FOLDER / "net.onnx").read_text() == "weights"


def test_an_experiment_in_a_copy_sees_what_nothing_tracks(repository: Path, tmp_path: Path):
    folder = shutil.copytree(repository, tmp_path / "copy")
    loose = folder / "data/external/benchmarks/own/images/p0_0001.png"
    loose.parent.mkdir(parents=True)
    loose.write_text("loose")
    printed = run(folder, "dvc", "exp", "run", "--temp", "-n", "tried", "-S", "alpha=2")
    assert "carried 1 files of data/external that git and DVC do not track" in printed
    run(folder, "dvc", "exp", "apply", "tried")
    assert (folder / "seen").read_text().splitlines() == [
        f"{MINE}:tracked", f"{loose.relative_to(folder)}:loose", f"{FOLDER}/net.onnx:weights",
    ]  # fmt: skip
    assert loose.read_text() == "loose"  # the copy is gone


def test_in_place_nothing_is_carried(repository: Path):
    assert run(repository, "stages.validation.carry") == ""
