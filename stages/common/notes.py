"""What every rank needs to know of its input: the first that comes works it out and notes it, the others read that."""

import fcntl
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
GROUP = 64  # items in one note


def each(items: Sequence[T], work: Callable[[T], str], folder: Path | None, name: str) -> list[str]:
    """Return the line that `work` says of each item; ranks that call this meanwhile share the work.

    What `work` raises is raised, and not noted.

    None waits for a rank that does not call it. folder: that of the finished parts of a run, `ranks.kept`. Its name is
    a digest of all that the stage depends on, of data files their sizes and times of change, by which DVC knows them,
    too. So what stands there is true of the items, also in a later try, and a run whose input changes meanwhile fails.
    Without one, nothing is noted.
    """
    if folder is None:
        return [work(item) for item in items]
    starts = range(0, len(items), GROUP)
    groups = {folder / f".{name}-{start:07d}": items[start : start + GROUP] for start in starts}
    texts: dict[Path, str] = {}
    for wait in (False, True):  # begin with those that no other rank is at
        for note, group in groups.items():
            if note not in texts:
                with suppress(BlockingIOError):
                    texts[note] = noted(note, lambda group=group: "".join(f"{work(item)}\n" for item in group), wait)
    return [line for note in groups for line in texts[note].splitlines()]


def noted(note: Path, compute: Callable[[], str], wait: bool = True) -> str:
    """Return the text of a note, which ends with a line break; computes and writes it where there is none.

    Raises BlockingIOError where another rank is at it and this one shall not `wait`.
    """
    with note.open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        file.seek(0)
        if not (text := file.read()).endswith("\n"):  # none, or a part that a killed rank has left
            file.truncate(0)
            file.write(text := compute())
        return text
