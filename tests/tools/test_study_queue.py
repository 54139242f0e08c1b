"""DVC's own queue, in a real repository of one short stage: what is finished, what failed and why, what is refused."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tiny import git_and_dvc

from stages.common.errors import InputError
from stages.tools import study_queue
from stages.tools.study_plan import Experiment
from stages.tools.study_queue import Queue

PIPELINE = f"""
stages:
  make:
    cmd: {sys.executable} stages/make.py
    deps: [stages/make.py]
    params: [word]
    outs: [made]
"""
STAGE = """
from pathlib import Path
word = Path("params.yaml").read_text().split()[1]
if word == "bad":
    raise SystemExit("error: params.yaml: word = 'bad'")
Path("made").write_text(word)
"""
GOOD, BAD = Experiment("try-good", {}, {"word": "good"}), Experiment("try-bad", {}, {"word": "bad"})


def commit(message: str) -> None:
    subprocess.run(["git", "add", "-A"], check=True)
    subprocess.run(["git", "commit", "-qm", message], check=True)


@pytest.fixture(scope="module")
def queue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Queue]:
    """Run a good and a bad experiment to their ends; yields their queue, in their repository."""
    folder = tmp_path_factory.mktemp("repository")
    with contextlib.chdir(folder), pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVC_NO_ANALYTICS", "1")
        git_and_dvc(folder)
        Path("stages").mkdir()
        for file, text in {"dvc.yaml": PIPELINE, "stages/make.py": STAGE, "params.yaml": "word: first\n"}.items():
            Path(file).write_text(text)
        commit("one")
        queue = Queue([GOOD.name, BAD.name])
        for experiment in (BAD, GOOD):
            queue.put(experiment)
        assert set(queue.waiting) == {GOOD.name, BAD.name} and not queue.running
        queue.start()
        assert set(queue.wait()) <= {GOOD.name, BAD.name}
        yield queue
        if queue.has_worker():  # it waits ten seconds for more, and its number may be another's by now
            os.kill(int(Path(".dvc/tmp/exps/celery/dvc-exp-worker-1.pid").read_text()), signal.SIGKILL)


def test_the_good_one_is_finished_and_the_bad_one_says_why_not(queue: Queue):
    assert study_queue.finished(GOOD) and study_queue.finished(BAD) is None
    assert set(queue.failed) == {BAD.name} and not queue.waiting and not queue.running
    assert queue.reason(BAD.name) == "params.yaml: word = 'bad'"
    assert "Running stage 'make'" in queue.log(GOOD.name) and queue.log("nobody") == ""


def test_it_stays_finished_after_another_commit_but_not_with_other_code(queue: Queue):
    Path("README.md").write_text("new")
    commit("two")
    assert study_queue.finished(GOOD)
    Path("stages/make.py").write_text(STAGE + "# a comment\n")
    commit("three")
    assert study_queue.finished(GOOD) is None
    subprocess.run(["git", "reset", "-q", "--hard", "HEAD~2"], check=True)


def test_a_name_that_is_taken_is_refused(queue: Queue):
    with pytest.raises(InputError) as refused:
        study_queue.finished(replace(GOOD, values={"word": "another"}))
    assert refused.value.file == GOOD.name and f"dvc exp remove {GOOD.name}" in refused.value.allowed


def test_a_changed_tree_is_refused_unless_reports_alone_differ(queue: Queue):
    study_queue.check_repository()
    Path("reports").mkdir()
    Path("reports/page").write_text("mine")
    study_queue.check_repository()
    Path("notes").write_text("mine")
    with pytest.raises(InputError) as refused:
        study_queue.check_repository()
    Path("notes").unlink()
    assert refused.value.file == "notes"


def test_what_dvc_refuses_is_one_line(queue: Queue):
    with pytest.raises(InputError) as refused:
        study_queue.dvc("queue", "remove", "nobody")
    assert refused.value.file == "dvc queue remove nobody" and "\n" not in refused.value.problem


def test_no_repository_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as refused:
        study_queue.check_repository()
    assert refused.value.file == str(tmp_path)
