"""The parts of an error of bad input make one line, and are its fields."""

import pytest

from stages.common.errors import ABSENT, InputError


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (InputError("a.bin", "truncated"), "a.bin: truncated"),
        (InputError("p.yaml", key="alpha", value=-1, allowed="0 or more"), "p.yaml: alpha = -1; allowed: 0 or more"),
        (InputError("p.yaml", key="pack.alpha", value=None), "p.yaml: pack.alpha = None"),
        (InputError("a.txt", "no pair", key="line 3", allowed="a pair"), "a.txt: line 3: no pair; allowed: a pair"),
    ],
)  # fmt: skip
def test_the_line_has_the_parts_that_are_known(error: InputError, line: str):
    assert str(error) == line


def test_a_long_value_is_shortened():
    assert len(str(InputError(None, value="x" * 200))) <= 60


def test_the_parts_stay():
    error = InputError("p.yaml", "too long", key="pack.alpha", value=2, allowed="0 to 1")
    assert (error.file, error.key, error.value) == ("p.yaml", "pack.alpha", 2)
    assert (error.problem, error.allowed) == ("too long", "0 to 1")
    assert InputError("a.bin").value is ABSENT
