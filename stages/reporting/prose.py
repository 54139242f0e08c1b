"""The report's sentences: prose.md holds them by name, so that they can be edited without reading code."""

from functools import cache
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("prose.md")


def say(name: str, /, **values: Any) -> str:
    """Return the text called `name`, its braces filled with `values`, on one line."""
    return texts()[name].format(**values)


@cache
def texts() -> dict[str, str]:
    """Return every text by the heading above it."""
    parts = (part.partition("\n") for part in FILE.read_text().split("\n## ")[1:])
    return {name: " ".join(body.split()) for name, _, body in parts}
