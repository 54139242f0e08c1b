"""Run a stage: one thread, one clear line for bad input, one line at the end, and no life after its parent."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

from threadpoolctl import threadpool_limits

WATCH_EVERY_S = 1.0
INTERRUPTED = "error: interrupted\n"
ERROR_FILE = "FACESPHERE_ERROR_FILE"  # environment variable by which the launcher collects the error of a rank


def run(main: Callable[[], str]) -> None:
    """Call `main`, print the line it returns with the time taken, and turn a ValueError into one line and exit 1.

    One thread per process: the bytes a stage writes must not depend on how many cores the machine has. However it
    fails, the outputs that DVC removed before it come back; Ctrl-C and SIGTERM are one line, too.
    """
    die_with_parent()
    end_on_sigterm()
    os.environ["OMP_NUM_THREADS"] = "1"  # heard by torch where a backend imports it later
    start = time.perf_counter()
    first = os.environ.get("RANK", "0") == "0"
    try:
        with threadpool_limits(1):
            if "torch" in sys.modules:
                sys.modules["torch"].set_num_threads(1)
            line = main()
    except ValueError as error:
        _fail(f"error: {' '.join(str(error).split())}\n")
    except KeyboardInterrupt:
        _fail(INTERRUPTED if ERROR_FILE not in os.environ else "")  # the launcher knows it was interrupted
    except Exception:  # a defect: its traceback is wanted
        if ERROR_FILE not in os.environ:
            restore_outputs()
        elif Path(os.environ[ERROR_FILE]).exists():  # another rank failed first, and this one lost its connection
            os._exit(1)
        raise
    if first:
        print(f"{line} ({time.perf_counter() - start:.1f} s)", flush=True)


def threads() -> ThreadPoolExecutor:
    """Return a pool with a thread for each core that this process may use, for parts that do not depend on each other.

    Within each of them torch keeps to one thread, so the bytes of a part do not depend on their number either.
    """
    return ThreadPoolExecutor(len(os.sched_getaffinity(0)))


def _fail(line: str) -> NoReturn:
    """Print an error and exit; under `stages.tools.launch` the first rank that fails leaves it to the launcher."""
    sys.stdout.flush()
    file = os.environ.get(ERROR_FILE)
    if file is None:
        print(line, file=sys.stderr, end="", flush=True)
        restore_outputs()
    elif line:
        with contextlib.suppress(FileExistsError), open(file, "x", errors="backslashreplace") as stream:
            stream.write(line)
    os._exit(1)  # a rank that fails must not wait for the others


def end_on_sigterm() -> None:
    """Let SIGTERM end this process as Ctrl-C does, so that outputs come back."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def restore_outputs() -> None:
    """Bring back the outputs that DVC removed before it ran this stage; does nothing without DVC."""
    if "DVC_STAGE" not in os.environ:
        return
    for signal_ in (signal.SIGINT, signal.SIGTERM):  # a second Ctrl-C must not leave half of them
        signal.signal(signal_, signal.SIG_IGN)
    command = [sys.executable, "-m", "stages.tools.restore"]  # not imported, so that it is no dependency of the stage
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    line = done.stdout if done.returncode == 0 else "earlier outputs are not restored; `dvc checkout` tries again\n"
    print(line, file=sys.stderr, end="", flush=True)


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
