"""A study through DVC's queue, on the real pipeline at its smallest: killed, resumed, finished, and not run again."""

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from ruamel.yaml import YAML
from tiny import ENVIRONMENT, ROOT, TINY, git_and_dvc, write_params

from stages.common import artifacts
from stages.common.errors import InputError
from stages.tools import study, study_plan, study_queue
from stages.tools.study_queue import Queue

BASE = {"source": "audit", "mix": "none", "depth": 3}
OWN = {
    "question": "Do more people help?",
    "size": "Small.",
    "seeds": 5,
    "parameters": {},
    "axes": {"people": {name: {"variants": {"base": {**BASE, "width": n}}} for name, n in (("few", 6), ("many", 10))}},
    "contrasts": [{"axis": "people", "of": ["many"], "against": "few", "expected": 1}],
    "primary": {"of": "many", "against": "few"},
    "x": "identities",
    "published": [{"what": "a set", "value": "92.00 %", "source": "its README"}],
    "differences": ["They have photographs."],
}
NAMES = ["own-few-tiny", "own-many-tiny"]
PATIENCE_S = 900


def commit(folder: Path) -> None:
    subprocess.run("git add -A && git commit -qm one", shell=True, cwd=folder, check=True)


@pytest.fixture(scope="module")
def repository(chain: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a repository with the tiny pipeline's data and a study of its own; ends what is left of a worker."""
    folder = tmp_path_factory.mktemp("studies")
    for part in ("data", "reports"):
        shutil.copytree(chain / part, folder / part)
    shutil.copytree(ROOT / "stages", folder / "stages", ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("dvc.yaml", ".gitignore", ".dvcignore"):
        shutil.copy(ROOT / file, folder / file)
    write_params(folder, TINY)
    with (folder / "stages/studies/own.yaml").open("w") as stream:
        YAML().dump(OWN, stream)
    git_and_dvc(folder)
    subprocess.run([sys.executable, "-m", "dvc", "commit", "-f", "-q"], cwd=folder, env=ENVIRONMENT, check=True)
    commit(folder)
    yield folder
    kill_all(folder)


@pytest.fixture
def inside(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(repository)
    monkeypatch.setattr(study_plan, "STUDIES", repository / "stages/studies")
    return repository


def kill_all(folder: Path) -> None:
    """Kill every process that works in a folder: the command, DVC's worker, the experiment and its stage."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if Path(process.cwd()).is_relative_to(folder) and process.pid != os.getpid():
                process.kill()


def start(folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "stages.tools.study", "own", "--tiny"]
    environment = {**ENVIRONMENT, "PYTHONPATH": str(folder)}
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def finish(folder: Path) -> str:
    """Run the study to its end; returns what it printed."""
    started = start(folder)
    printed, _ = started.communicate(timeout=PATIENCE_S)
    assert started.returncode == 0, printed
    return printed


def wait_for(folder: Path, pattern: str, started: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not list(folder.glob(pattern)):
        assert started.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)


@pytest.fixture(scope="module")
def resumed(repository: Path) -> str:
    """Kill all that works for a study while an experiment audits its images; returns what the next start printed."""
    started = start(repository)
    wait_for(repository, ".scratch/studies/audit.lock", started)
    kill_all(repository)
    started.communicate()
    return finish(repository)


def test_after_a_kill_it_goes_on_with_what_was_done(resumed: str, inside: Path):
    assert "own-few-tiny did not finish" in resumed and "own-many-tiny runs" in resumed
    log = Queue(NAMES).log(NAMES[0])
    assert "Stage 'pack' is cached" in log and "Running stage 'audit'" in log


def test_the_report_has_what_the_experiments_measured(resumed: str, inside: Path):
    plan = study_plan.plan("own", tiny=True)
    commits = {e.name: str(study_queue.finished(e)) for e in plan.experiments}
    reported = artifacts.read_json(inside / "reports/studies/own-tiny.json")
    few, many = study.read(plan, commits, reported["seconds"])
    assert set(reported["seconds"]) == set(NAMES)
    assert many.seconds["train"] == reported["seconds"][NAMES[1]]["train@base"] > 0
    assert reported["arms"]["many"]["accuracy"]["wild"]["value"] == many.variant.wild_mean["accuracy"]["value"]
    page = (inside / "reports/studies/own-tiny.md").read_text()
    assert f"{100 * few.variant.wild_mean['accuracy']['value']:.1f}" in page and "92.00 %" in page
    assert (inside / "reports/studies/figures/own-tiny.png").read_bytes().startswith(b"\x89PNG")


def test_what_is_finished_is_not_run_again_even_after_another_commit(resumed: str, repository: Path):
    before = (repository / "reports/studies/own-tiny.md").read_text()
    (repository / "README.md").write_text("new")
    commit(repository)
    assert " runs" not in finish(repository)
    assert (repository / "reports/studies/own-tiny.md").read_text() == before


def test_a_name_that_is_taken_is_refused(resumed: str, inside: Path, monkeypatch: pytest.MonkeyPatch):
    subprocess.run("git reset -q --hard HEAD~1", shell=True, check=True)  # where the experiments were made
    first = study_plan.plan("own", tiny=True).experiments[0]
    assert study_queue.finished(first)
    with pytest.raises(InputError) as refused:
        study_queue.finished(replace(first, values={**first.values, "embed": {}}))
    assert refused.value.file == first.name and "dvc exp remove" in refused.value.allowed
    assert study_queue.finished(replace(first, name="another")) is None


def test_code_that_changed_makes_an_experiment_unfinished(resumed: str, inside: Path):
    first = study_plan.plan("own", tiny=True).experiments[0]
    with (inside / "stages/pack.py").open("a") as stream:
        stream.write("# a comment\n")
    commit(inside)
    assert study_queue.finished(first) is None
    subprocess.run("git reset -q --hard HEAD~1", shell=True, check=True)


def test_a_changed_tree_is_refused(inside: Path):
    study_queue.check_repository()
    (inside / "notes").write_text("mine")
    with pytest.raises(InputError) as refused:
        study_queue.check_repository()
    (inside / "notes").unlink()
    assert refused.value.file == "notes"


def test_no_repository_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as refused:
        study_queue.check_repository()
    assert refused.value.file == str(tmp_path)
