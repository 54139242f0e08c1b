"""Run a stage: one thread, one clear line for bad input, one line at the end, and no life after its parent."""

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from threadpoolctl import threadpool_limits

WATCH_EVERY_S = 1.0
ERROR_FILE = "FACESPHERE_ERROR_FILE"  # environment variable by which the launcher collects the error of a rank


def run(main: Callable[[], str]) -> None:
    """Call `main`, print the line it returns with the time taken, and turn a ValueError into one line and exit 1.

    One thread per process: the bytes a stage writes must not depend on how many cores the machine has.
    """
    die_with_parent()
    start = time.perf_counter()
    first = os.environ.get("RANK", "0") == "0"
    try:
        with threadpool_limits(1):
            if "torch" in sys.modules:
                sys.modules["torch"].set_num_threads(1)
            line = main()
    except ValueError as error:
        _report(f"error: {' '.join(str(error).split())}\n")
        sys.stdout.flush()
        os._exit(1)  # a rank that fails must not wait for the others
    if first:
        print(f"{line} ({time.perf_counter() - start:.1f} s)", flush=True)


def _report(line: str) -> None:
    """Print an error; under `stages.tools.launch` the first rank that fails leaves it for the launcher to print."""
    file = os.environ.get(ERROR_FILE)
    if file is None:
        print(line, file=sys.stderr, end="", flush=True)
        return
    with contextlib.suppress(FileExistsError), open(file, "x") as stream:
        stream.write(line)


def argument(what: str) -> str:
    """Return the one command-line argument of a stage that runs per item; raises ValueError without it."""
    if len(sys.argv) != 2:
        raise ValueError(f"{Path(sys.argv[0]).name}: expected one argument, {what}; got {len(sys.argv) - 1}")
    return sys.argv[1]


def die_with_parent() -> None:
    """End this process when `dvc` (or, without DVC, the process that started it) ends, even by SIGKILL.

    DVC leaves its stages running when it is killed, and the next `dvc repro` would start a second writer. Between DVC
    and a rank stand a shell and torchrun, so the whole chain of parents is watched, not only the nearest.
    """
    if not Path("/proc/self/stat").exists():  # Linux only; elsewhere a killed DVC leaves its stage running
        return
    chain = _ancestors_up_to_dvc()
    threading.Thread(target=_watch, args=(chain,), daemon=True).start()


def _ancestors_up_to_dvc() -> list[tuple[int, int]]:
    chain, pid = [], os.getpid()
    while (parent := _parent(pid)) > 1:
        chain.append((pid, parent))
        words = Path(f"/proc/{parent}/cmdline").read_bytes().split(b"\0")[:3]
        if any(Path(word.decode(errors="replace")).name == "dvc" for word in words):
            return chain
        pid = parent
    return chain[:1]


def _parent(pid: int) -> int:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    return int(stat.rpartition(")")[2].split()[1])  # the name in parentheses may hold blanks


def _watch(chain: list[tuple[int, int]]) -> None:
    while all(_parent(pid) == parent for pid, parent in chain):
        time.sleep(WATCH_EVERY_S)
    os._exit(1)
