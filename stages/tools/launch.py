"""Run a stage under torchrun: `python -m stages.tools.launch stages.generate`.

The same as `torchrun -m stages.generate` with a rank per core (or GPU) and torchrun's own environment for the topology
(PET_NPROC_PER_NODE, PET_NNODES, PET_RDZV_ENDPOINT, ...), but a rank's bad input ends in its one line, not in torchrun's
traceback, and the launcher dies with DVC too.
"""

import logging
import os
import sys
import tempfile
from pathlib import Path

import torch
from torch.distributed import run as torchrun
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

from stages.common import stage


def launch(words: list[str]) -> int:
    """Run `words` (a module and its arguments) on all ranks; returns the exit code."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    cores = str(len(os.sched_getaffinity(0)))  # torchrun's own "auto" counts cores that this process may not use
    os.environ.setdefault("PET_NPROC_PER_NODE", "auto" if torch.cuda.is_available() else cores)
    alone = [] if {"PET_NNODES", "PET_RDZV_ENDPOINT"} & set(os.environ) else ["--standalone"]  # a free port
    logging.getLogger("torch.distributed").setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder:
        error = Path(folder) / "error"
        os.environ[stage.ERROR_FILE] = str(error)
        try:
            torchrun.run(torchrun.parse_args([*alone, "-m", *words]))
        except ChildFailedError as failed:
            code = next(iter(failed.failures.values())).exitcode
            print(error.read_text() if error.exists() else f"error: a rank ended with {code}", file=sys.stderr, end="")
            return 1
    return 0


if __name__ == "__main__":
    stage.die_with_parent()
    sys.exit(launch(sys.argv[1:]))
