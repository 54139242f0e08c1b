"""Run experiments through DVC's queue, and tell what became of them; nothing is kept beside what DVC and git keep.

An experiment is finished when git holds one of its name (`dvc exp show --all-commits` lists them) with the same
parameters, made by the same code: then the working tree would give the same numbers. All others are queued, and what
earlier ones share with them comes from DVC's run cache.
"""

import contextlib
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import psutil
from dvc.exceptions import NotDvcRepoError
from dvc.repo import Repo
from dvc.repo.experiments.queue.base import QueueEntry
from ruamel.yaml import YAML

from stages.common import params, scratch
from stages.common.errors import InputError
from stages.tools.study_plan import Experiment

# what a number depends on: not on the commands, nor on how the report is written
REPORTING = ("tools", "studies", "reporting", "report.py")
CODE = ("dvc.yaml", "data/pretrain", "stages", *(f":!stages/{part}" for part in REPORTING))
OWN = "reports"  # a study may be started where these differ from the last commit
POLL_S, TRIES = 2.0, 5


def git(*words: str) -> str:
    """Return what git prints; raises ValueError with its first line when it fails."""
    done = subprocess.run(["git", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise InputError("git", (done.stderr or done.stdout).strip().partition("\n")[0])
    return done.stdout


def check_repository() -> None:
    """Raise InputError unless this is the root of a repository whose files are committed: DVC queues commits."""
    try:
        Repo(".")
    except NotDvcRepoError as error:
        allowed = "the root of a clone, in which git and DVC work"
        raise InputError(Path.cwd(), "no repository of git and DVC", allowed=allowed) from error
    changed = git("status", "--porcelain", "--", ".", f":!{OWN}").splitlines()
    if changed:
        listed = ", ".join(line[3:] for line in changed[:3]) + (", ..." if len(changed) > 3 else "")
        problem = "not committed, so that no experiment could be made again"
        raise InputError(listed, problem, allowed="a clean working tree; `git commit` or `git stash -u` first")


def finished(experiment: Experiment) -> str | None:
    """Return the commit of an experiment that is done; raises InputError when its name is taken by another."""
    head = git("rev-parse", "HEAD").strip()
    for line in git("for-each-ref", "--format=%(objectname) %(refname)", "refs/exps").splitlines():
        commit, _, ref = line.partition(" ")
        if ref.rpartition("/")[2] != experiment.name:
            continue
        if _parameters(commit) == experiment.values and not git("diff", "--name-only", commit, "HEAD", "--", *CODE):
            return commit
        if ref.split("/")[-3] + ref.split("/")[-2] == head:
            allowed = f"no experiment of that name at this commit: `dvc exp remove {experiment.name}`"
            raise InputError(experiment.name, "an experiment has that name and other parameters", allowed=allowed)
    return None


def _parameters(commit: str) -> object:
    return YAML(typ="safe", pure=True).load(git("show", f"{commit}:{params.FILE}"))


class Queue:
    """DVC's queue of experiments, as far as it concerns those of one study."""

    def __init__(self, names: Sequence[str]) -> None:
        """Take the names of the study's experiments."""
        self.names = set(names)

    @cached_property
    def _tasks(self):
        return Repo(".").experiments.celery_queue

    def _own(self, entries: Iterator[QueueEntry]) -> dict[str, QueueEntry]:
        return {entry.name: entry for entry in entries if entry.name in self.names}

    @property
    def waiting(self) -> dict[str, QueueEntry]:
        """Return the queued ones by name."""
        return self._own(self._tasks.iter_queued())

    @property
    def running(self) -> dict[str, QueueEntry]:
        """Return those that a worker has taken and not finished; also where the worker was killed."""
        return self._own(self._tasks.iter_active())

    @property
    def failed(self) -> dict[str, QueueEntry]:
        """Return those that failed, or were killed."""
        return self._own(done.entry for done in self._tasks.iter_failed())

    def put(self, experiment: Experiment) -> None:
        """Queue an experiment, as `dvc exp run --queue` does."""
        options = [word for override in experiment.overrides() for word in ("-S", override)]
        dvc("exp", "run", "--queue", "-n", experiment.name, *options)

    def start(self) -> None:
        """Start one worker, unless there is one: each experiment uses all cores by itself."""
        dvc("queue", "start", "-j", "1")

    def remove(self, names: Sequence[str]) -> None:
        """Take queued and failed ones out of the queue."""
        if names:
            dvc("queue", "remove", *names)

    def stop(self) -> None:
        """End the running ones and take the waiting ones out; what is done of them is in DVC's run cache."""
        self.remove(list(self.waiting))
        self._kill()

    def has_worker(self) -> bool:
        """Say whether a worker lives; DVC's own question to it goes unanswered on a busy machine."""
        for file in Path(self._tasks.wdir).glob("dvc-exp-worker-*.pid"):
            with contextlib.suppress(psutil.Error, ValueError):
                process = psutil.Process(int(file.read_text()))
                if process.status() != psutil.STATUS_ZOMBIE and "queue-worker" in process.cmdline():
                    return True
        return False

    def log(self, name: str) -> str:
        """Return what an experiment that began printed, as `dvc queue logs` shows it; empty where there is nothing."""
        entries = {**self._own(done.entry for done in self._tasks.iter_done()), **self.running}
        process = self._tasks.proc.get(entries[name].stash_rev) if name in entries else None
        file = Path(process.stdout) if process and process.stdout else None
        return file.read_text(errors="replace") if file and file.exists() else ""

    def reason(self, name: str) -> str:
        """Return the last line of an experiment's log that says what went wrong."""
        lines = re.findall(r"^(?:error|ERROR): (.+)$", self.log(name), re.MULTILINE)
        return lines[0] if lines else "ended without a word"

    def wait(self) -> Iterator[str]:
        """Yield the name of each experiment when it begins to run, until none is queued or running.

        Where a worker was killed, what it had taken is given up, and the rest goes to a new one.
        """
        last = ""
        while (running := self.running) or self.waiting:
            if not self.has_worker():
                self._kill()
                self.start()
            name = next(iter(running), last)
            if name != last:
                yield name
            last = name
            time.sleep(POLL_S)

    def _kill(self) -> None:
        """Kill the running ones; DVC marks as failed what it finds dead, which is so a moment after it was killed."""
        for _ in range(TRIES):
            if not (names := list(self.running)):
                return
            with contextlib.suppress(InputError):
                dvc("queue", "kill", "--force", *names)
            time.sleep(1)


def dvc(*words: str) -> None:
    """Run DVC as a shell would with this environment activated; raises InputError with its error's line.

    Work that is done is kept where the next run finds it: an experiment has a folder of its own, for a while.
    """
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    kept = str((scratch.root() / "studies").absolute())
    environment = {**os.environ, "PATH": path, "FACESPHERE_SCRATCH": kept}
    command = [sys.executable, "-m", "dvc", *words]
    with tempfile.TemporaryFile("w+") as said:  # a pipe would stay open as long as the worker that is started
        code = subprocess.run(command, env=environment, stdout=said, stderr=said, check=False).returncode
        said.seek(0)
        errors = re.findall(r"^ERROR: (.+)$", said.read(), re.MULTILINE)
    if code:
        raise InputError(f"dvc {' '.join(words[:3])}", errors[0] if errors else f"ended with {code}")
