"""Expect bad input to be refused. Tests compare the fields of the error, not its sentence."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stages.common.errors import ABSENT, InputError


@contextmanager
def refused(
    file: str | Path | None = None,
    problem: str = "",
    *,
    key: str = "",
    value: object = ABSENT,
    allowed: str = "",
) -> Iterator[None]:
    """Expect an InputError of one short line about this file and key, and about this value where one is named.

    file: a path, or the last parts of one; None for any. problem, allowed: words that stand in these fields.
    """
    with pytest.raises(InputError) as caught:
        yield
    error = caught.value
    assert file is None or f"/{error.file}".endswith(f"/{file}"), error
    assert error.key == key, error
    assert value is ABSENT or error.value == value, error
    assert problem in error.problem, error
    assert allowed in error.allowed, error
    line = str(error).removeprefix(error.file or "")
    assert "\n" not in line and len(line) < 400
