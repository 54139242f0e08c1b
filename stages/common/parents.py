"""End this process when the process that started it has ended, even by SIGKILL.

DVC leaves its stages running when it is killed, and the next `dvc repro` would start a second writer. Between DVC and a
rank there are a shell, the launcher and perhaps torchrun, so the whole chain of parents is watched. A stage that
somebody starts by hand, perhaps under nohup, watches nobody: it may outlive its shell.
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
    """Call `die` when a process of the chain up to DVC, the launcher or torchrun ends, or at once when one is gone."""
    if not Path("/proc/self/stat").exists() or not started_by_program():
        return  # Linux only: elsewhere a killed DVC leaves its stage running
    chain = _chain()
    if chain is None:
        die()
    else:
        threading.Thread(target=_watch, args=(chain, die), daemon=True).start()


def started_by_program() -> bool:
    """Say whether `dvc`, the launcher or torchrun started this process, and not somebody at a shell."""
    return bool({"DVC_STAGE", LAUNCHER, "TORCHELASTIC_RUN_ID"} & set(os.environ))


def _chain() -> Chain | None:
    """Return the chain up to DVC, the launcher or torchrun; None when it is broken already."""
    chain, pid = [], os.getpid()
    while (parent := _parent(pid)) > 1:
        chain.append((pid, parent))
        if _is_top(parent):
            return chain
        pid = parent
    return None


def _is_top(pid: int) -> bool:
    """Say whether a process is the DVC, launcher or torchrun that started this one."""
    if "DVC_STAGE" in os.environ:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:3]
        return any(Path(os.fsdecode(word)).name == "dvc" for word in words) or pid in _writers()
    return pid == int(os.environ.get(LAUNCHER, os.getppid()))


def _writers() -> set[int]:
    """Return the processes that hold DVC's write locks: a program of any name may call DVC from Python."""
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
