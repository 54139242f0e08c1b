"""Ranks share files, show what all of them have written, and hand it on without a second copy."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from making import start
from tiny import ENVIRONMENT, TINY, run, working_in, write_params

from stages.common import ranks

HANDS_ON = """
import os, signal
from pathlib import Path
from stages.common import artifacts, ranks

def hand_on():
    with ranks.kept("make") as folder:
        for name in ("one", "two", "deep/three"):
            if not (folder / name).exists():
                (folder / name).parent.mkdir(exist_ok=True)
                with artifacts.output_file(folder / name) as fresh:
                    fresh.write_text(name)
                Path("made").open("a").write(name + "\\n")
        ranks.publish(folder, "data/make")

def die_at(moment):
    left = iter(range(moment))
    for name in ("link", "rename", "replace", "unlink", "rmdir", "mkdir"):
        def counted(*args, old=getattr(os, name), **kwargs):
            if next(left, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)
            return old(*args, **kwargs)
        setattr(os, name, counted)

killed = 0
for moment in range(40):
    if not (child := os.fork()):
        die_at(moment)
        hand_on()
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    killed += os.WIFSIGNALED(status)
    if not status:
        break
    handed_on = Path("data/make").exists()
    hand_on()
    made = Path("made").read_text().split()
    assert handed_on or len(made) == len(set(made)), (moment, made)
    files = {str(f.relative_to("data/make")): f.read_text() for f in Path("data/make").rglob("*") if f.is_file()}
    assert files == {name: name for name in ("one", "two", "deep/three")}, (moment, files)
    assert not Path(".scratch").exists() or not list(Path(".scratch").rglob("*/*/*")), moment
    os.system("rm -rf data .scratch made")
print(killed)
"""


def test_a_run_that_is_killed_while_it_hands_on_loses_nothing(tmp_path: Path):
    """Killed before each change of a name on the disk, in turn, the run after it ends with the same files."""
    done = subprocess.run(
        [sys.executable, "-c", HANDS_ON], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 10


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a scratch folder with two finished files and what is half-written, in the working directory."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / ".scratch/make/key"
    (folder / "deep").mkdir(parents=True)
    for name in ("one", "deep/two", ".tmp-1-one", "deep/.tmp-1-two"):
        (folder / name).write_text(name)
    return folder


def test_what_is_handed_on_lies_once_on_the_disk(parts: Path):
    ranks.publish(parts, "data/make")
    for name in ("one", "deep/two"):
        assert Path("data/make", name).stat().st_ino == (parts / name).stat().st_ino
    assert len([file for file in Path("data/make").rglob("*") if file.is_file()]) == 2


def test_where_the_disk_has_no_links_it_is_copied(parts: Path, monkeypatch: pytest.MonkeyPatch):
    def none(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", none)
    ranks.publish(parts, "data/make")
    for name in ("one", "deep/two"):
        assert Path("data/make", name).read_text() == name
        assert Path("data/make", name).stat().st_mtime_ns == (parts / name).stat().st_mtime_ns


def test_the_line_counts_what_all_ranks_have_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(ranks, "LOOK_S", 0.01)
    files = {tmp_path / name: images for name, images in (("before", 100), ("own", 20), ("others", 80))}
    (tmp_path / "before").touch()

    def work(file: Path) -> None:
        if file.name == "own":
            file.touch()
            (tmp_path / "others").touch()  # as another rank would
            time.sleep(1.2)

    ranks.make(files, work, "draw", "img")
    lines = [line for line in capsys.readouterr().out.split("\r") if "draw" in line]
    assert "100/200" in lines[0] and " 50%" in lines[0]
    assert any("200/200" in line and "img/s" in line for line in lines[1:])


def test_a_run_goes_on_with_another_number_of_ranks(tmp_path: Path):
    write_params(tmp_path, {**TINY, "sets.wild.identities": 32, "sets.wild.images": 8})  # four shards
    words, drawn = ("stages.common.launch", "stages.sets", "wild"), tmp_path / "data/sets/wild"
    first, early = start(tmp_path, *words, PET_NPROC_PER_NODE="2"), []
    while not early and first.poll() is None:
        early = list(tmp_path.glob(".scratch/*/*/faces-*"))
        time.sleep(0.02)
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    kept = {file.name: file.stat().st_ino for file in early}
    second = start(tmp_path, *words, PET_NPROC_PER_NODE="3")
    assert second.communicate() and second.returncode == 0
    resumed = {file.name: file.read_bytes() for file in drawn.iterdir()}
    assert {name: (drawn / name).stat().st_ino for name in kept} == kept
    with working_in(tmp_path):
        run("sets wild")
    assert len(resumed) == 4 and resumed == {file.name: file.read_bytes() for file in drawn.iterdir()}


def test_ranks_take_items_in_turn(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ranks, "size", lambda: 2)
    for rank, items in ((0, [0, 2, 4]), (1, [1, 3])):
        monkeypatch.setattr(ranks, "rank", lambda rank=rank: rank)
        assert list(ranks.own(range(5))) == items
