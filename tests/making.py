"""A repository of DVC with one stage, `make`, that ends as params.yaml says; DVC runs it, or a test as DVC does."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from tiny import ENVIRONMENT

PIPELINE = f"""
stages:
  make:
    cmd: {sys.executable} -m stages.common.launch --ranks 1 make
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
ALONE, RANKS = ("stages.common.launch", "--ranks", "1", "make"), ("stages.common.launch", "make")
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
    writer = {"pid": os.getpid(), "cmd": "pytest"}  # as DVC says who writes
    (folder / ".dvc/tmp/rwlock").write_text(json.dumps({"write": {str(folder / "another"): writer}}))
    return start(folder, *words, DVC_STAGE="make")


def lines_of(failing: subprocess.Popen[str]) -> list[str]:
    """Wait for a failure; returns what it said on stderr, but for what DVC adds."""
    _, said = failing.communicate(timeout=60)
    assert failing.returncode != 0
    return [line for line in said.splitlines() if line and not line.startswith("ERROR: failed to reproduce 'make'")]


def outputs(folder: Path) -> dict[str, str]:
    return {file: (folder / file).read_text() for file in OUTPUTS if (folder / file).exists()}


def wait_for(file: Path, started: subprocess.Popen[str]) -> None:
    while not file.exists():
        assert started.poll() is None
        time.sleep(0.05)
