"""A stage that fails leaves the outputs that were there before.

DVC runs it, or the test removes the outputs as DVC does.
"""

import os
import shutil
import signal
from pathlib import Path

import pytest
from making import (
    ALONE,
    INTERRUPTED,
    OUTPUTS,
    RANKS,
    RESTORED,
    change,
    lines_of,
    outputs,
    start,
    start_as_dvc_does,
    wait_for,
)


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
    ("words", "end", "line"),
    [
        (RANKS, "killed", "error: a rank ended with -9"),
        (ALONE, "defect", "KeyError: 'defect'"),
    ],
)
def test_the_outputs_are_back_however_it_fails(made: Path, words: tuple[str, ...], end: str, line: str):
    before = outputs(made)
    change(made, end)
    lines = lines_of(start_as_dvc_does(made, words))
    assert line in lines and RESTORED in lines
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


def test_where_nothing_is_recorded_git_gives_what_it_holds(made: Path):
    before = outputs(made)
    change(made, "refused")
    (made / "dvc.lock").unlink()
    assert lines_of(start_as_dvc_does(made, ALONE))[1:] == ["restored: reports/make.json, reports/figures"]
    assert outputs(made) == {name: text for name, text in before.items() if name.startswith("reports/")}


def test_where_nothing_can_be_restored_a_hint_follows_the_error(made: Path):
    change(made, "refused")
    (made / "dvc.yaml").unlink()
    _, more = lines_of(start_as_dvc_does(made, ALONE))
    assert more.startswith("earlier outputs are not restored;")
    assert not outputs(made)


def test_without_dvc_nothing_is_restored(made: Path):
    change(made, "refused")
    shutil.rmtree(made / "data")
    assert len(lines_of(start(made, "make"))) == 1
    assert not (made / "data").exists()
