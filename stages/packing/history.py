"""Hand on the course of a packing: J at its start and at every iterate that the solver judged.

A sampler that iterates calls `record` at its end. To get the course, run the sampler within `recorded`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Course = list[tuple[int, float]]  # iterations done, and J there

_recorded: ContextVar[Course | None] = ContextVar("recorded", default=None)


@contextmanager
def recorded() -> Iterator[Course]:
    """Yield a list that holds the course of the packing in this block once that has ended; empty without iterations."""
    course: Course = []
    token = _recorded.set(course)
    try:
        yield course
    finally:
        _recorded.reset(token)


def record(course: Course) -> None:
    """Hand on the course of a packing, in place of an earlier one; outside `recorded` do nothing."""
    recorder = _recorded.get()
    if recorder is not None:
        recorder[:] = course
