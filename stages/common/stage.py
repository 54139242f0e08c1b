"""Run a stage: one thread, one clear line for bad input, one line at the end, and no life after who started it."""

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from threadpoolctl import threadpool_limits

from stages.common import params, parents, pipeline, scratch

INTERRUPTED = "error: interrupted\n"
ERROR_FILE = "FACESPHERE_ERROR_FILE"  # environment variable by which the launcher collects the error of a rank
STORE_FILE = "FACESPHERE_STORE_FILE"  # and by which the ranks that it forks meet
LONGEST = 400  # characters of an error


def run(main: Callable[[], str]) -> None:
    """Call `main`, print the line it returns with the time taken, and turn bad input into one line and exit 1.

    One thread per process: the bytes a stage writes must not depend on how many cores the machine has. Without the
    launcher nothing else runs this stage meanwhile, and nothing that it reads may change. `--help` prints what the
    stage reads and writes.
    """
    if {"-h", "--help"} & set(sys.argv[1:]):
        print((sys.modules["__main__"].__doc__ or "").strip())
        return
    parents.die_with_parent()
    os.environ["OMP_NUM_THREADS"] = "1"  # heard by torch where a backend imports it later
    start = time.perf_counter()
    try:
        with threadpool_limits(1), params.pinned() if ERROR_FILE in os.environ else _alone():
            if "torch" in sys.modules:
                sys.modules["torch"].set_num_threads(1)
            line = main()
    except (ValueError, OSError, MemoryError) as error:
        _fail(error_line(error))
    except KeyboardInterrupt:
        _fail(INTERRUPTED if ERROR_FILE not in os.environ else "")  # the launcher knows it was interrupted
    except Exception:  # a defect: its traceback is wanted
        if ERROR_FILE in os.environ and Path(os.environ[ERROR_FILE]).exists():
            os._exit(1)  # another rank failed first, and this one lost its connection
        raise
    if not is_rank() or os.environ["RANK"] == "0":
        print(f"{line} ({time.perf_counter() - start:.1f} s)", flush=True)


def is_rank() -> bool:
    """Say whether the launcher or torchrun started this process; a job of a cluster may set RANK, too."""
    return ERROR_FILE in os.environ or "TORCHELASTIC_RUN_ID" in os.environ


def error_line(error: Exception) -> str:
    """Return the one line, ended, that says what was wrong, shortened in its middle where it quotes what is long."""
    text = str(error)
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    text = " ".join((text or type(error).__name__).split())
    if len(text) > LONGEST:
        text = f"{text[: LONGEST // 2]} ... {text[-LONGEST // 2 :]}"
    return f"error: {text}\n"


@contextmanager
def _alone() -> Iterator[None]:
    """Keep other runs of this stage out, and let its inputs stay as they are; the launcher does it for all ranks."""
    spec = sys.modules["__main__"].__spec__
    here = address(spec.name if spec else "", sys.argv[1:])
    if (is_rank() and os.environ["RANK"] != "0") or not pipeline.declared(here).outs:  # it has none: a tool
        with params.pinned():
            yield
        return
    with scratch.exclusive(here), pipeline.unchanged(here) as now:
        scratch.sweep(here, now.key())
        yield


def address(module: str, arguments: list[str]) -> str:
    """Return the address in dvc.yaml, e.g. `train@base`, of a stage's module and its arguments."""
    by_dvc = os.environ.get("DVC_STAGE", "").rpartition(":")[2]  # from another folder it is ../dvc.yaml:train@base
    return by_dvc or "@".join([module.removeprefix("stages."), *arguments[:1]])


def name(what: str) -> str:
    """Return the name of the item that a stage runs for: from DVC, else the one command-line argument.

    what: the argument, for the ValueError without it. A name that DVC passes through a shell would run there.
    """
    found = [os.environ["DVC_STAGE"].partition("@")[2]] if "DVC_STAGE" in os.environ else sys.argv[1:]
    if len(found) != 1 or not found[0]:
        raise ValueError(f"{Path(sys.argv[0]).name}: expected one argument, {what}; got {len(found)}")
    return params.check_name(what.partition(",")[0], found[0])


def threads() -> ThreadPoolExecutor:
    """Return a pool with a thread for each core that this process may use, for parts that do not depend on each other.

    Within each of them torch keeps to one thread, so the bytes of a part do not depend on their number either.
    """
    return ThreadPoolExecutor(len(os.sched_getaffinity(0)))


def _fail(line: str) -> NoReturn:
    """Print an error and exit; under `stages.common.launch` the first rank that fails leaves it to the launcher."""
    sys.stdout.flush()
    file = os.environ.get(ERROR_FILE)
    if file is None:
        print(line, file=sys.stderr, end="", flush=True)
    elif line:
        with contextlib.suppress(FileExistsError), open(file, "x", errors="backslashreplace") as stream:
            stream.write(line)
    os._exit(1)  # a rank that fails must not wait for the others
