"""Run a stage: `python -m stages.common.launch [--ranks N | --share KEY | --rows KEY] stages.pack`, as dvc.yaml does.

This process starts the ranks, which do the work, and watches over them. It ends them when DVC, Ctrl-C or SIGTERM ends
it, prints the one line of a failure, and keeps other runs of the stage out. It fails when parameters or dependencies
changed during the run. When the stage fails, it brings back the outputs that DVC removed; when it succeeds, it keeps
the outputs until DVC has recorded them. Its signal handler is set before anything heavy is imported.

On one machine without an accelerator the ranks are forked from this process. With PET_NNODES, PET_RDZV_ENDPOINT or a
GPU, torchrun starts them: this is `torchrun -m stages.generate`. Both start PET_NPROC_PER_NODE ranks, by default one
for each core. Where KEY of params.yaml, such as train.runs.ranks, says that ranks share seeds, which are few and long,
there is one more: on two cores, three trainings end sooner as three processes than as two and then one. Where KEY, such
as pack.identities, says how many rows ranks share, there is at most one for each ROWS of them, and fewer than twice as
many are not shared. `--ranks 1` is for stages whose work is not shared.
"""

import os
import runpy
import signal
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stages.common import parents  # all others are imported once the signal handler is set

INTERRUPTED = "error: interrupted\n"
ROWS = 1024  # what a rank owns at least: a tile of stages/packing
DISTRIBUTED = {"PET_NNODES", "PET_RDZV_ENDPOINT"}  # variables that ask for torchrun
RANK_VARIABLES = (  # a cluster's job may set these for a stage that is not one of its ranks
    "RANK", "LOCAL_RANK", "GROUP_RANK", "ROLE_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_WORLD_SIZE",
    "ROLE_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_RUN_ID", "TORCHELASTIC_USE_AGENT_STORE",
    "GLOO_SOCKET_IFNAME",
)  # fmt: skip


class StageError(Exception):
    """A stage that failed; the text is the line to print, with its line break."""


def main() -> int:
    """Run the command line; returns the exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        parents.die_with_parent(lambda: os.kill(os.getpid(), signal.SIGTERM))
        supervise(sys.argv[1:])
    except (KeyboardInterrupt, StageError) as reason:
        print(reason if isinstance(reason, StageError) else INTERRUPTED, file=sys.stderr, end="", flush=True)
    except Exception:  # a defect of the launcher: print its traceback
        traceback.print_exc()
    else:
        return 0
    restore_outputs()
    return 1


def supervise(words: list[str]) -> None:
    """Run a stage as the command line says; raises StageError with one line when it does not end well."""
    from stages.common import params, pipeline, scratch, stage

    options = _parsed(words)
    module, arguments = options.module, options.arguments
    address, by_dvc = stage.address(module, arguments), "DVC_STAGE" in os.environ
    try:
        if "@" in address:
            params.check_name(module, address.partition("@")[2])  # it becomes part of paths
        with scratch.exclusive(address), pipeline.unchanged(address) as state:
            scratch.sweep(address, key := state.key())
            if by_dvc and scratch.put_back(address, key):
                print(f"{address}: brought back the outputs of an earlier run, which DVC had not recorded")
                return
            with _environment(key):
                _run([module, *arguments], options)
            if by_dvc:
                scratch.keep(address, key)
    except pipeline.ChangedError as error:
        if by_dvc:
            pipeline.remove_outputs(address)
        raise StageError(stage.error_line(error)) from error
    except (ValueError, OSError) as error:
        raise StageError(stage.error_line(error)) from error


def _parsed(words: list[str]) -> Any:
    import argparse

    parser = argparse.ArgumentParser(
        "python -m stages.common.launch", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    number = parser.add_mutually_exclusive_group()
    number.add_argument("--ranks", type=int, metavar="N", help="so many ranks, whatever PET_NPROC_PER_NODE says")
    number.add_argument("--share", metavar="KEY", help="where this key says seeds: one rank more than there are cores")
    number.add_argument("--rows", metavar="KEY", help=f"at most one rank for each {ROWS:,} rows that this key says")
    parser.add_argument("module", help="a stage's module, such as stages.generate")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="of the stage")
    return parser.parse_args(words)


def _value(key: str | None) -> Any:
    """Return the value of a key of params.yaml, None where there is no such key; the stage checks whether it may be."""
    from stages.common import params

    node: Any = params.read() if key else {}
    for part in (key or "").split("."):
        node = node.get(part) if isinstance(node, dict) else None
    return node


@contextmanager
def _environment(key: str) -> Iterator[None]:
    """Set the variables that tell the ranks where to write an error, where to meet, and the key of their scratch."""
    import tempfile

    from stages.common import scratch, stage

    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {
            "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
            parents.LAUNCHER: str(os.getpid()),
            scratch.KEY: key,
            stage.ERROR_FILE: f"{folder}/error",
            stage.STORE_FILE: f"{folder}/store",
        }
        yield


def _run(words: list[str], options: Any) -> None:
    from stages.common import stage

    most = _most(options.rows)
    if fixed := 1 if most == 1 else options.ranks:
        code = _fork(words, fixed)
    else:
        import torch  # once, before the ranks are forked

        remote = torch.cuda.is_available() or DISTRIBUTED & set(os.environ)
        code = _torchrun(words) if remote else _fork(words, min(_ranks(options.share), most))
    if code:
        error = Path(os.environ[stage.ERROR_FILE])
        raise StageError(error.read_text() if error.exists() else f"error: a rank ended with {code}\n")


def _most(key: str | None) -> int:
    """Return how many ranks gain from sharing the rows that a key of params.yaml counts; without a key, any number."""
    rows = _value(key)
    return sys.maxsize if key is None else -(-rows // ROWS) if isinstance(rows, int) and rows >= 2 * ROWS else 1


def _ranks(share: str | None) -> int:
    from stages.common.errors import InputError

    number = os.environ.get("PET_NPROC_PER_NODE", "auto")
    if number == "auto":
        cores = len(os.sched_getaffinity(0))  # that this process may use, not all of the machine's
        return cores + (_value(share) == "seeds")
    if not number.isdigit() or int(number) < 1:
        raise InputError(None, key="PET_NPROC_PER_NODE", value=number, allowed="auto, or a number from 1")
    return int(number)


def _fork(words: list[str], ranks: int) -> int:
    """Run `words` on forked ranks, which meet in a file and talk over the loopback; returns the first failure's code.

    torch's start_processes would do the same, but importing torch costs two seconds that some stages need not pay.
    """
    from multiprocessing import active_children, connection, get_context

    for name in RANK_VARIABLES:
        os.environ.pop(name, None)
    os.environ |= {"WORLD_SIZE": str(ranks), "LOCAL_WORLD_SIZE": str(ranks)}
    if sys.platform == "linux":
        os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    fork = get_context("fork")
    processes = [fork.Process(target=_run_rank, args=(words, rank)) for rank in range(ranks)]
    try:
        for process in processes:
            process.start()
        running: dict[Any, Any] = {process.sentinel: process for process in processes}
        while running:
            for sentinel in connection.wait(running):
                (process := running.pop(sentinel)).join()
                if process.exitcode:  # the other ranks would wait for this one
                    return process.exitcode
        return 0
    finally:
        for process in active_children():
            process.kill()
            process.join()


def _run_rank(words: list[str], rank: int) -> None:
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank))
    parents.die_with_parent()
    sys.argv = list(words)
    try:
        runpy.run_module(words[0], run_name="__main__", alter_sys=True)
    except KeyboardInterrupt:  # the launcher prints it
        os._exit(1)


def _torchrun(words: list[str]) -> int:
    from torch.distributed import run as torchrun  # takes a second, which forked ranks need not spend
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    from stages.common import stage

    os.environ.setdefault("PET_NPROC_PER_NODE", "auto")
    one_machine: list[str] = []
    if DISTRIBUTED & set(os.environ):
        del os.environ[stage.STORE_FILE]  # ranks of several machines meet at a port
    else:
        meeting = f"{os.environ[stage.STORE_FILE]}-launchers"
        os.environ["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"  # else it would listen on all interfaces
        one_machine = ["--rdzv-backend", "c10d", "--rdzv-endpoint", meeting, "--rdzv-conf", "store_type=file"]
    try:
        torchrun.run(torchrun.parse_args([*one_machine, "-m", *words]))
    except ChildFailedError as failed:
        return next(iter(failed.failures.values())).exitcode
    except SignalException as error:
        raise KeyboardInterrupt from error
    return 0


def restore_outputs() -> None:
    """Bring back the outputs that DVC removed before it ran this stage; does nothing without DVC."""
    if "DVC_STAGE" not in os.environ:
        return
    for signal_ in (signal.SIGINT, signal.SIGTERM):  # a second Ctrl-C must not leave half of the outputs
        signal.signal(signal_, signal.SIG_IGN)
    command = [sys.executable, "-m", "stages.tools.restore"]  # not imported, so that it is no dependency of the stage
    restored = subprocess.run(command, capture_output=True, text=True, check=False)
    failed = "earlier outputs are not restored; `dvc checkout` tries again\n"
    print(failed if restored.returncode else restored.stdout, file=sys.stderr, end="", flush=True)


if __name__ == "__main__":
    sys.exit(main())
