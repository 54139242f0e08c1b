"""How much of a mapped file counts as this process's memory."""

import re
from pathlib import Path

import pytest

MAPS = Path("/proc/self/smaps")
on_linux = pytest.mark.skipif(not MAPS.exists(), reason="Linux alone tells")


def resident(file: Path) -> int:
    """Return how many bytes of a mapped file count as this process's memory."""
    maps = re.split(r"^(?=[0-9a-f]+-[0-9a-f]+ )", MAPS.read_text(), flags=re.MULTILINE)
    return sum(1024 * int(re.findall(r"^Rss: +(\d+)", part, re.MULTILINE)[0]) for part in maps if f"{file}\n" in part)
