"""Run a stage: one thread, one line for bad input, one line at the end. It ends with the process that started it."""

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from threadpoolctl import threadpool_limits

from stages.common import params, parents, pipeline, scratch
from stages.common.errors import InputError

INTERRUPTED = "error: interrupted\n"
ERROR_FILE = "FACESPHERE_ERROR_FILE"  # environment variable: the file for a rank's error
STORE_FILE = "FACESPHERE_STORE_FILE"  # environment variable: the file by which forked ranks meet
LONGEST = 400  # characters of an error's line


def run(main: Callable[[], str]) -> None:
    """Call `main`, print the line it returns with the time taken, and turn bad input into one line and exit 1.

    One thread per process: the bytes that a stage writes must not depend on the number of cores. Without the launcher,
    this function itself keeps other runs of the stage out and checks that its inputs do not change. `--help` prints
    what the stage reads and writes.
    """
    if {"-h", "--help"} & set(sys.argv[1:]):
        print((sys.modules["__main__"].__doc__ or "").strip())
        return
    parents.die_with_parent()
    os.environ["OMP_NUM_THREADS"] = "1"  # for torch, which a backend may import later
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
    except Exception:  # a defect: print its traceback
        if ERROR_FILE in os.environ and Path(os.environ[ERROR_FILE]).exists():
            os._exit(1)  # another rank failed first, and this one lost its connection
        raise
    if not is_rank() or os.environ["RANK"] == "0":
        print(f"{line} ({time.perf_counter() - start:.1f} s)", flush=True)


def is_rank() -> bool:
    """Say whether the launcher or torchrun started this process; RANK does not tell, a cluster's job may set it."""
    return ERROR_FILE in os.environ or "TORCHELASTIC_RUN_ID" in os.environ


def error_line(error: Exception) -> str:
    """Return the line that says what is wrong, with its line break; a long one is shortened in its middle."""
    text = str(error)
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    text = " ".join((text or type(error).__name__).split())
    if len(text) > LONGEST:
        text = f"{text[: LONGEST // 2]} ... {text[-LONGEST // 2 :]}"
    return f"error: {text}\n"


@contextmanager
def _alone() -> Iterator[None]:
    """Keep other runs of this stage out, and check that its inputs do not change, as the launcher does otherwise."""
    spec = sys.modules["__main__"].__spec__
    own = address(spec.name if spec else "", sys.argv[1:])
    if (is_rank() and os.environ["RANK"] != "0") or not pipeline.declared(own).outs:  # a tool has no outputs
        with params.pinned():
            yield
        return
    with scratch.exclusive(own), pipeline.unchanged(own) as state:
        scratch.sweep(own, state.key())
        yield


def address(module: str, arguments: list[str]) -> str:
    """Return the address in dvc.yaml, e.g. `train@base`, of a stage's module and its arguments."""
    by_dvc = os.environ.get("DVC_STAGE", "").rpartition(":")[2]  # from another folder it is ../dvc.yaml:train@base
    return by_dvc or "@".join([module.removeprefix("stages."), *arguments[:1]])


def name(argument: str) -> str:
    """Return the name of the item that a stage runs for: from DVC, else the one command-line argument.

    argument: describes it in the ValueError that is raised without it. The name is checked, because DVC would pass it
    through a shell.
    """
    names = [os.environ["DVC_STAGE"].partition("@")[2]] if "DVC_STAGE" in os.environ else sys.argv[1:]
    if len(names) != 1 or not names[0]:
        raise InputError(Path(sys.argv[0]).name, f"expected one argument, {argument}; got {len(names)}")
    return params.check_name(argument.partition(",")[0], names[0])


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
