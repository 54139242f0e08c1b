"""Notes: worked out once for all ranks and later tries, and nobody waits while there is something else to do."""

import fcntl
import threading
from pathlib import Path

import pytest

from stages.common import notes


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notes, "GROUP", 2)


def test_what_is_noted_is_not_worked_out_again(tmp_path: Path):
    seen = []

    def work(item: str) -> str:
        seen.append(item)
        return item * 2 if item != "d" else ""

    for _ in range(2):
        assert notes.each("abcde", work, tmp_path, "twice") == ["aa", "bb", "cc", "", "ee"]
    assert seen == list("abcde")
    assert notes.each("abcde", work, tmp_path, "other") == notes.each("abcde", work, None, "twice")
    assert seen == list("abcde") * 3


def test_a_note_that_a_killed_rank_has_left_half_written_is_written_anew(tmp_path: Path):
    notes.each("abc", str.upper, tmp_path, "upper")
    (tmp_path / ".upper-0000000").write_text("A\nB")
    assert notes.each("abc", str.upper, tmp_path, "upper") == ["A", "B", "C"]
    assert (tmp_path / ".upper-0000000").read_text() == "A\nB\n"


def test_a_rank_goes_on_with_what_no_other_is_at(tmp_path: Path):
    """And reads in the end what the other has noted."""
    lines: list[str] = []
    first, last = (tmp_path / f".upper-000000{i}" for i in (0, 4))
    with first.open("a+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        rank = threading.Thread(target=lambda: lines.extend(notes.each("abcde", str.upper, tmp_path, "upper")))
        rank.start()
        for _ in range(1000):
            if last.exists() and last.read_text():
                break
            rank.join(0.01)
        assert last.read_text() == "E\n" and rank.is_alive()
        held.write("x\ny\n")
    rank.join(10)
    assert lines == ["x", "y", "C", "D", "E"]


def test_an_error_is_raised_in_every_try_and_the_other_items_are_noted(tmp_path: Path):
    def work(item: str) -> str:
        if item == "c":
            raise ValueError(item)
        seen.append(item)
        return item

    seen: list[str] = []
    for _ in range(2):
        with pytest.raises(ValueError, match="c"):
            notes.each("abcd", work, tmp_path, "same")
    assert seen == ["a", "b"]
