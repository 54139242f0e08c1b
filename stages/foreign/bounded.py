"""Look into a file of strangers in a process of its own, which cannot take more than its share of time and memory.

Readers of networks and pickles do what the file says; some files say "for ever", or "a thousand times as much".
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

ROOT = Path(__file__).parents[2]
SECONDS, SECONDS_PER_BYTE = 1.0, 1 / 5e6  # of processor time: a large network is read and run once in a fraction of it
BYTES, BYTES_PER_BYTE = 256 * 2**20, 6  # of memory: a network is held parsed, as constants and as packed ones

PAGES = Path("/proc/self/statm")  # of memory that this process has


class Refused(Exception):  # noqa: N818 (it is no error: the answer is no)
    """Why a file is refused, said on purpose."""


def ask(module: str, file: str | Path, *words: object) -> Any:
    """Return what `python -m MODULE FILE WORDS`, which calls `answer`, finds out.

    Raises ValueError, naming the file, with what it refuses, or with the limit that it met.
    """
    command = [sys.executable, "-P", "-m", module, str(file), *map(str, words)]
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode == -signal.SIGPROF:
        raise ValueError(f"{file}: takes more than its {SECONDS:g} s of processor time and .2 s a MB to look into")
    try:
        found = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError) as error:
        died = signal.Signals(-done.returncode).name if done.returncode < 0 else f"exit code {done.returncode}"
        raise ValueError(f"{file}: broken, it ends the process that looks into it ({died})") from error
    if "refused" in found:
        raise ValueError(f"{file}: {found['refused']}")
    return found["found"]


def answer(look: Callable[..., Any], kind: str) -> None:
    """Print what `look(file, *words)` returns, or why a file of that kind is refused, for `ask`."""
    file, *words = sys.argv[1:]
    if file in ("-h", "--help"):
        print((sys.modules["__main__"].__doc__ or "").strip())
        return
    try:
        limit(os.path.getsize(file))
        found = {"found": look(Path(file), *words)}
    except MemoryError:
        found = {"refused": f"takes more than {BYTES // 2**20} MB and {BYTES_PER_BYTE} times its size to look into"}
    except Refused as reason:
        found = {"refused": str(reason)}
    except Exception as error:  # a broken file fails anywhere in its reader, by any kind of error
        found = {"refused": f"not a readable {kind}: {short(error)}"}
    print(json.dumps(found), flush=True)
    os._exit(0)  # whatever was built is not taken apart: that, too, takes time


def short(error: BaseException) -> str:
    """Return an error as the end of one line."""
    return " ".join(f"{error or type(error).__name__}".split())[:160]


def limit(size: int) -> None:
    """Let this process take as much time and memory from here as files of `size` bytes together may."""
    signal.setitimer(signal.ITIMER_PROF, SECONDS + SECONDS_PER_BYTE * size)  # SIGPROF ends it
    if PAGES.exists():  # where there is none, memory has no such limit either
        now, hard = (
            int(PAGES.read_text().split()[0]) * resource.getpagesize(),
            resource.getrlimit(resource.RLIMIT_AS)[1],
        )
        most = now + BYTES + BYTES_PER_BYTE * size
        resource.setrlimit(resource.RLIMIT_AS, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
