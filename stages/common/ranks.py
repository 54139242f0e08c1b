"""Share work between the ranks that torchrun starts, and keep what is done across a crash.

A rank takes whole items (a shard, a chunk of identities, a seed), never a part of a batch, so that one process and
many write the same bytes. Finished items lie in a scratch folder outside the stage's outputs, keyed by all that went
into them; a stage that was killed resumes there.
"""

import fcntl
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, is_dataclass
from datetime import timedelta
from pathlib import Path
from typing import IO, Any, TypeVar

import torch.distributed as dist
from tqdm import tqdm

from stages.common import artifacts

T = TypeVar("T")


def rank() -> int:
    """Return this process's rank, 0 without torchrun."""
    return int(os.environ.get("RANK", "0"))


def size() -> int:
    """Return the number of ranks, 1 without torchrun."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def barrier() -> None:
    """Wait for all ranks."""
    if size() > 1:
        if not dist.is_initialized():
            dist.init_process_group("gloo", timeout=timedelta(days=7))  # a rank may train for long while others wait
        dist.barrier()


def share(items: Sequence[T], work: Callable[[T], None], label: str) -> None:
    """Call `work` on every item, rank r taking items r, r + size, ...; shows progress; returns when all are done."""
    mine = items[rank() :: size()]
    for item in tqdm(mine, label, disable=rank() != 0, mininterval=1, ncols=80, file=sys.stdout):
        work(item)
    barrier()


@contextmanager
def scratch(stage: str, *inputs: Any) -> Iterator[Path]:
    """Yield the stage's scratch folder, the same for all ranks and for a later try with the same inputs.

    inputs: settings, plain values and paths of files or folders; their contents, the source of every module of ours
    that is loaded by now and that of the program itself are the key. The folder is removed when the block ends well and
    kept otherwise. It lies under FACESPHERE_SCRATCH (default: .scratch in the repository, beside the data, on the same
    disk). Raises ValueError when another run is writing there.
    """
    folder = scratch_root() / f"{stage.replace('/', '-')}-{_key(inputs)[:16]}"
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder) if rank() == 0 else nullcontext():
        barrier()
        yield folder
        barrier()
        if rank() == 0:
            shutil.rmtree(folder)


def scratch_root() -> Path:
    """Return the folder that holds all scratch folders; the environment names it, never params.yaml."""
    return Path(os.environ.get("FACESPHERE_SCRATCH", ".scratch"))


def _locked(folder: Path) -> IO[str]:
    lock = (folder / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise ValueError(f"{folder}: another run of this stage is writing here; wait for it or stop it") from error
    return lock


def _key(inputs: Sequence[Any]) -> str:
    ours = (module for name, module in sys.modules.items() if name == "__main__" or name.startswith("stages"))
    sources = sorted({str(module.__file__) for module in ours if getattr(module, "__file__", None)})
    parts = [_plain(value) for value in inputs] + [artifacts.digest(file) for file in sources]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        files = sorted(value.rglob("*")) if value.is_dir() else [value]
        return [[str(file), artifacts.digest(file)] for file in files if file.is_file()]
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return value


def publish(folder: Path, output: str | Path) -> None:
    """Copy what lies in a scratch folder to a stage's output, once all ranks are done; rank 0 does it."""
    barrier()
    if rank() == 0:
        with artifacts.output_folder(output) as fresh:
            for item in sorted(folder.iterdir()):
                if item.name != "lock" and not item.name.startswith("."):
                    copy = shutil.copytree if item.is_dir() else shutil.copy2  # a kill here must not lose them
                    copy(item, fresh / item.name)
    barrier()
