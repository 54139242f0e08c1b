"""Run a stage on several ranks: `python -m stages.tools.launch [--extra-ranks N] stages.generate`.

On one machine without an accelerator the ranks are forked from this process, which has torch loaded already: half the
start-up time of `torchrun --standalone`, in the same environment (RANK, WORLD_SIZE, MASTER_ADDR, ...). All else is
torchrun's: with PET_NNODES, PET_RDZV_ENDPOINT or a GPU this is `torchrun -m stages.generate`. PET_NPROC_PER_NODE says
how many ranks in both; else it is one for each core, and stages whose few long items would not fill them ask for extra
ones: three trainings end sooner as three processes on two cores than as two and then one. A rank's bad input ends in
its one line, Ctrl-C ends all ranks, and the ranks die with DVC.
"""

import contextlib
import os
import runpy
import signal
import socket
import sys
import tempfile
import traceback
from pathlib import Path

import torch

from stages.common import stage


def launch(words: list[str]) -> int:
    """Run `words` (a module and its arguments, perhaps extra ranks before it) on all ranks; returns the exit code."""
    extra = 0
    if words[:1] == ["--extra-ranks"]:
        (_, number, *words) = words
        extra = int(number)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as folder:
        error = Path(folder) / "error"
        os.environ[stage.ERROR_FILE] = str(error)
        local = not torch.cuda.is_available() and not {"PET_NNODES", "PET_RDZV_ENDPOINT"} & set(os.environ)
        try:
            code = _fork(words, _ranks(extra)) if local else _torchrun(words)
            line = error.read_text() if error.exists() else f"error: a rank ended with {code}\n"
        except KeyboardInterrupt:
            code, line = 1, stage.INTERRUPTED
    if code:
        print(line, file=sys.stderr, end="", flush=True)
    return int(code != 0)


def _ranks(extra: int) -> int:
    asked = os.environ.get("PET_NPROC_PER_NODE", "auto")
    if asked == "auto":
        return len(os.sched_getaffinity(0)) + extra  # of the cores that this process may use, not all that there are
    if not asked.isdigit() or int(asked) < 1:
        raise ValueError(f"PET_NPROC_PER_NODE = {asked!r}; allowed: auto, or a number from 1")
    return int(asked)


def _fork(words: list[str], ranks: int) -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    world = {"WORLD_SIZE": ranks, "LOCAL_WORLD_SIZE": ranks, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({key: str(value) for key, value in world.items()})
    pids = [pid for rank in range(ranks) if (pid := _start(words, rank))]
    running, code = set(pids), 0
    try:
        while running:
            pid, status = os.wait()
            running.discard(pid)
            if status and not code:  # the first failure ends the others, who would wait for it
                code = os.waitstatus_to_exitcode(status)
                for other in running:
                    os.kill(other, signal.SIGKILL)
    except KeyboardInterrupt:
        for pid in running:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):  # ended just now
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
        raise
    return code


def _start(words: list[str], rank: int) -> int:
    sys.stdout.flush()
    if pid := os.fork():
        return pid
    code = 1
    try:
        os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank))
        sys.argv = list(words)
        runpy.run_module(words[0], run_name="__main__", alter_sys=True)
        code = 0
    except Exception:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _torchrun(words: list[str]) -> int:
    from torch.distributed import run as torchrun  # a second that forked ranks do without
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    os.environ.setdefault("PET_NPROC_PER_NODE", "auto")
    alone = [] if {"PET_NNODES", "PET_RDZV_ENDPOINT"} & set(os.environ) else ["--standalone"]  # a free port
    try:
        torchrun.run(torchrun.parse_args([*alone, "-m", *words]))
    except ChildFailedError as failed:
        return next(iter(failed.failures.values())).exitcode
    except SignalException as ended:
        raise KeyboardInterrupt from ended
    return 0


def main() -> int:
    """Run the command line."""
    stage.die_with_parent()
    stage.end_on_sigterm()
    try:
        code = launch(sys.argv[1:])
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        code = 1
    if code:
        stage.restore_outputs()
    return code


if __name__ == "__main__":
    sys.exit(main())
