"""Look into a file from outside in a process of its own, with limits of time and memory that grow with the file.

Readers of networks and pickles do what the file tells them; a hostile one tells them to run for ever, or to take a
thousand times its own size.
"""

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stages.common.errors import InputError

ROOT = Path(__file__).parents[2]
SECONDS, SECONDS_PER_BYTE = 1.0, 1 / 5e6  # of processor time: a large network is read and run once in a fraction of it
BYTES, BYTES_PER_BYTE = 256 * 2**20, 6  # of memory: a network is held parsed, as constants and as packed ones

PAGES = Path("/proc/self/statm")  # of memory that this process has


class Refused(Exception):  # noqa: N818 (the reader works: the file is wrong)
    """A file is not what it should be; `run` makes it an InputError in the process that called."""

    def __init__(self, problem: str, allowed: str = "") -> None:
        """Hold what is wrong, and what is allowed."""
        super().__init__(problem)
        self.problem, self.allowed = problem, allowed


def run(module: str, file: str | Path, *arguments: object) -> Any:
    """Return the result of `python -m MODULE FILE ARGUMENTS`, a module that calls `main`.

    Raises InputError when the module refuses the file, or when the process meets one of its limits.
    """
    command = [sys.executable, "-P", "-m", module, str(file), *map(str, arguments)]
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode == -signal.SIGPROF:
        raise InputError(file, f"takes more than its {SECONDS:g} s of processor time and .2 s a MB to look into")
    try:
        reply = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError) as error:
        died = signal.Signals(-done.returncode).name if done.returncode < 0 else f"exit code {done.returncode}"
        raise InputError(file, f"broken, it ends the process that looks into it ({died})") from error
    if "problem" in reply:
        raise InputError(file, reply["problem"], allowed=reply.get("allowed", ""))
    return reply["result"]


def main(look: Callable[..., Any], kind: str) -> None:
    """Print for `run` what `look(file, *arguments)` returns, or why a file of this kind is refused."""
    file, *arguments = sys.argv[1:]
    if file in ("-h", "--help"):
        print((sys.modules["__main__"].__doc__ or "").strip())
        return
    try:
        limit(os.path.getsize(file))
        reply = {"result": look(Path(file), *arguments)}
    except MemoryError:
        reply = {"problem": f"takes more than {BYTES // 2**20} MB and {BYTES_PER_BYTE} times its size to look into"}
    except Refused as error:
        reply = {"problem": error.problem, "allowed": error.allowed}
    except Exception as error:  # a broken file fails anywhere in its reader, by any kind of error
        reply = {"problem": f"not a readable {kind}: {short(error)}"}
    print(json.dumps(reply), flush=True)
    os._exit(0)  # at once: to free what was built takes time, too


def short(error: BaseException) -> str:
    """Return the text of an error, or its class where it has none, in one line of at most 160 characters."""
    return " ".join(f"{error or type(error).__name__}".split())[:160]


def limit(size: int) -> None:
    """Limit the time and memory that this process takes from now on, for files of `size` bytes together."""
    signal.setitimer(signal.ITIMER_PROF, SECONDS + SECONDS_PER_BYTE * size)  # SIGPROF ends it
    if PAGES.exists():  # a system without it has no such limit of memory either
        used, hard = (
            int(PAGES.read_text().split()[0]) * resource.getpagesize(),
            resource.getrlimit(resource.RLIMIT_AS)[1],
        )
        soft = used + BYTES + BYTES_PER_BYTE * size
        resource.setrlimit(resource.RLIMIT_AS, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))
