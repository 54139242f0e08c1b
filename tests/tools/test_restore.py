"""A stage that fails leaves the outputs that were there before.

DVC runs it, or the test removes the outputs as DVC does.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny import ENVIRONMENT, git_and_dvc

PIPELINE = f"""
stages:
  make:
    cmd: {sys.executable} -m make
    deps: [make.py]
    params: [word, end]
    outs: [data/make]
    plots: [reports/figures: {{cache: false}}]
    metrics: [reports/make.json: {{cache: false}}]
"""
STAGE = """
import os, signal, time
from pathlib import Path
from stages.common import artifacts, params, stage

def main():
    values = params.read()
    match values["end"]:
        case "refused":
            raise ValueError(f"params.yaml: word = {values['word']!r}; allowed: another")
        case "defect":
            raise KeyError("defect")
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "hangs":
            Path("hangs").touch()
            time.sleep(60)
    with artifacts.output_folder("data/make") as folder:
        (folder / "word").write_text(values["word"])
        (folder / "deep").mkdir()
        (folder / "deep" / "same").write_text("same")
    with artifacts.output_folder("reports/figures") as folder:
        (folder / "word").write_text(values["word"])
    if values["end"] == "half":
        raise ValueError("params.yaml: end = 'half'")
    artifacts.write_json("reports/make.json", {"word": values["word"]})
    return "made"

if __name__ == "__main__":
    stage.run(main)
"""
OUTPUTS = ("data/make/word", "data/make/deep/same", "reports/figures/word", "reports/make.json")
ALONE, RANKS = ("make",), ("stages.tools.launch", "make")
RESTORED = "restored: data/make, reports/make.json, reports/figures"
INTERRUPTED = ["error: interrupted", RESTORED]


def change(folder: Path, end: str = "well", word: str = "second") -> None:
    (folder / "params.yaml").write_text(f"word: {word}\nend: {end}\n")
    (folder / "hangs").unlink(missing_ok=True)


def start(folder: Path, *words: str, **environment: str) -> subprocess.Popen[str]:
    """Start a module in a process group of its own, as a shell does, that hears Ctrl-C.

    A shell that starts the tests in the background lets them, and all that they start, ignore it.
    """
    return subprocess.Popen(
        [sys.executable, "-m", *words], cwd=folder, env={**ENVIRONMENT, "PET_NPROC_PER_NODE": "2", **environment},
        start_new_session=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def start_as_dvc_does(folder: Path, words: tuple[str, ...]) -> subprocess.Popen[str]:
    for name in ("data/make", "reports/figures"):
        shutil.rmtree(folder / name, ignore_errors=True)
    (folder / "reports/make.json").unlink(missing_ok=True)
    return start(folder, *words, DVC_STAGE="make")


def lines_of(failing: subprocess.Popen[str]) -> list[str]:
    """Wait for a failure; returns what it said on stderr, but for what DVC adds."""
    _, said = failing.communicate(timeout=60)
    assert failing.returncode != 0
    return [line for line in said.splitlines() if line and not line.startswith("ERROR: failed to reproduce 'make'")]


def outputs(folder: Path) -> dict[str, str]:
    return {file: (folder / file).read_text() for file in OUTPUTS if (folder / file).exists()}


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


def test_dvc_finds_the_stage_unchanged_when_the_bad_value_is_gone(made: Path):
    before = outputs(made)
    assert set(before) == set(OUTPUTS)
    change(made, "refused")
    assert lines_of(start(made, "dvc", "repro")) == ["error: params.yaml: word = 'second'; allowed: another", RESTORED]
    assert outputs(made) == before
    change(made, word="first")
    assert "didn't change" in start(made, "dvc", "repro").communicate(timeout=60)[0]


def test_ctrl_c_ends_dvc_and_the_outputs_are_back(made: Path):
    before = outputs(made)
    change(made, "hangs")
    started = start(made, "dvc", "repro")
    wait_for(made / "hangs", started)
    os.killpg(started.pid, signal.SIGINT)  # a terminal signals the whole group
    assert lines_of(started) == INTERRUPTED
    assert outputs(made) == before


def wait_for(file: Path, started: subprocess.Popen[str]) -> None:
    while not file.exists():
        assert started.poll() is None
        time.sleep(0.05)


@pytest.mark.parametrize("words", [ALONE, RANKS], ids=["alone", "ranks"])
def test_sigterm_is_one_line_and_the_outputs_are_back(made: Path, words: tuple[str, ...]):
    before = outputs(made)
    change(made, "hangs")
    started = start_as_dvc_does(made, words)
    wait_for(made / "hangs", started)
    started.terminate()
    assert lines_of(started) == INTERRUPTED
    assert outputs(made) == before


@pytest.mark.parametrize(
    ("words", "end", "said"),
    [
        (RANKS, "killed", "error: a rank ended with -9"),
        (ALONE, "defect", "KeyError: 'defect'"),
    ],
)
def test_the_outputs_are_back_however_it_fails(made: Path, words: tuple[str, ...], end: str, said: str):
    before = outputs(made)
    change(made, end)
    lines = lines_of(start_as_dvc_does(made, words))
    assert said in lines and RESTORED in lines
    assert outputs(made) == before


def test_what_the_stage_did_write_is_not_overwritten(made: Path):
    before = outputs(made)
    change(made, "half")
    assert lines_of(start_as_dvc_does(made, ALONE)) == [
        "error: params.yaml: end = 'half'",
        "restored: reports/make.json",
    ]
    assert outputs(made) == before | {"data/make/word": "second", "reports/figures/word": "second"}


def test_without_the_cache_git_gives_what_it_holds(made: Path):
    before = outputs(made)
    change(made, "refused")
    shutil.rmtree(made / ".dvc/cache")
    assert lines_of(start_as_dvc_does(made, ALONE))[1:] == ["restored: reports/make.json, reports/figures"]
    assert outputs(made) == {name: text for name, text in before.items() if name.startswith("reports/")}


def test_git_gives_nothing_that_is_not_what_dvc_recorded(made: Path):
    change(made, word="third")
    start(made, "dvc", "repro").communicate(timeout=60)
    change(made, "refused")
    shutil.rmtree(made / ".dvc/cache")
    assert len(lines_of(start_as_dvc_does(made, ALONE))) == 1 and not outputs(made)


def test_an_experiment_that_is_undone_comes_back_from_the_run_cache(made: Path):
    before = outputs(made)
    change(made)
    assert "Running stage 'make'" in start(made, "dvc", "repro").communicate(timeout=60)[0]
    assert outputs(made) != before
    change(made, word="first")
    assert "is cached - skipping run" in start(made, "dvc", "repro").communicate(timeout=60)[0]
    assert outputs(made) == before


@pytest.mark.parametrize("lost", ["dvc.lock", "dvc.yaml"])
def test_where_nothing_can_be_restored_the_error_stands_alone_or_with_a_hint(made: Path, lost: str):
    change(made, "refused")
    (made / lost).unlink()
    _, *more = lines_of(start_as_dvc_does(made, ALONE))
    assert [line.split(";")[0] for line in more] == ["earlier outputs are not restored"] * (lost == "dvc.yaml")
    assert not outputs(made)


def test_without_dvc_nothing_is_restored(made: Path):
    change(made, "refused")
    shutil.rmtree(made / "data")
    assert len(lines_of(start(made, *ALONE))) == 1
    assert not (made / "data").exists()
