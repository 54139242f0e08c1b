"""How much memory a rank may count on: the machine's, or its control group's where that is less."""

import os
from collections.abc import Iterator
from pathlib import Path

from stages.common import stage

PROCESS, GROUPS = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")


def per_rank() -> int:
    """Return the bytes of `total` for each of the ranks that the launcher or torchrun started on this machine."""
    return total() // (int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if stage.is_rank() else 1)


def total() -> int:
    """Return the bytes of this machine's memory, or of the tightest limit of this process's control groups."""
    return min([os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), *_limits()])


def _limits() -> Iterator[int]:
    """Yield the limits of this process's group and of those around it, of version 1 and 2; a container sees the root.

    A line of PROCESS is NUMBER:CONTROLLERS:PATH; version 2 has no controllers there.
    """
    for line in PROCESS.read_text().splitlines() if PROCESS.exists() else []:
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        root, name = (GROUPS / "memory", "memory.limit_in_bytes") if controllers else (GROUPS, "memory.max")
        group = root / path.lstrip("/")
        for folder in (group, *group.parents):
            limit = folder / name
            if folder.is_relative_to(root) and limit.is_file() and (text := limit.read_text().strip()) != "max":
                yield int(text)
