"""End this process when the one that it works for has ended, even by SIGKILL.

DVC leaves its stages running when it is killed, and the next `dvc repro` would start a second writer. Between DVC and a
rank stand a shell, the launcher and perhaps torchrun, so the whole chain of parents is watched, not only the nearest.
A stage that somebody starts by hand works for nobody: it outlives the shell that started it under nohup.
"""

import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

EVERY_S = 0.2
LAUNCHER = "FACESPHERE_LAUNCHER"  # environment variable: the launcher's process number

Chain = list[tuple[int, int]]  # processes and their parents, from this one up


def die_with_parent(die: Callable[[], None] = lambda: os._exit(1)) -> None:
    """Call `die` once one of the processes between this one and whom it works for has ended, or has gone already."""
    if not Path("/proc/self/stat").exists() or not works():
        return  # Linux only: elsewhere a killed DVC leaves its stage running
    chain = _chain()
    if chain is None:
        die()
    else:
        threading.Thread(target=_watch, args=(chain, die), daemon=True).start()


def works() -> bool:
    """Say whether this process works for `dvc`, the launcher or torchrun, and not for who typed its name."""
    return bool({"DVC_STAGE", LAUNCHER, "TORCHELASTIC_RUN_ID"} & set(os.environ))


def _chain() -> Chain | None:
    chain, pid = [], os.getpid()
    while (parent := _parent(pid)) > 1:
        chain.append((pid, parent))
        if _employs(parent):
            return chain
        pid = parent
    return None


def _employs(pid: int) -> bool:
    if "DVC_STAGE" in os.environ:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:3]
        return any(Path(os.fsdecode(word)).name == "dvc" for word in words) or pid in _writers()
    return pid == int(os.environ.get(LAUNCHER, os.getppid()))


def _writers() -> set[int]:
    """Return the processes that write with DVC now: it may be called from Python, under any name."""
    try:
        locks = json.loads((Path(os.environ.get("DVC_ROOT", ".")) / ".dvc/tmp/rwlock").read_text())
    except (OSError, ValueError):
        return set()
    return {lock["pid"] for lock in locks.get("write", {}).values()}


def _parent(pid: int) -> int:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    return int(stat.rpartition(")")[2].split()[1])  # the name in parentheses may hold blanks


def _watch(chain: Chain, die: Callable[[], None]) -> None:
    while all(_parent(pid) == parent for pid, parent in chain):
        time.sleep(EVERY_S)
    die()
