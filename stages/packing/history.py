"""Hand on the course of a packing: J at its start and at every iterate that the solver judged.

A sampler that iterates calls `record` at its end, and whoever wants the course runs it within `recorded`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Course = list[tuple[int, float]]  # iterations done, and J there

_recorded: ContextVar[Course | None] = ContextVar("recorded", default=None)


@contextmanager
def recorded() -> Iterator[Course]:
    """Yield a list that holds the course of a packing within the block once that has ended; empty if it has none."""
    course: Course = []
    token = _recorded.set(course)
    try:
        yield course
    finally:
        _recorded.reset(token)


def record(course: Course) -> None:
    """Hand on the course of a packing, in place of an earlier one; without `recorded` it is forgotten."""
    wanted = _recorded.get()
    if wanted is not None:
        wanted[:] = course
