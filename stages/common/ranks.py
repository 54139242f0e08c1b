"""Share work between ranks, and keep finished items across a crash.

A rank takes whole items (a shard, a chunk of identities, a seed), never a part of a batch, so that one process and
many write the same bytes; only `together`, for training by data-parallel ranks, puts all of them on one item. Finished
items lie in a folder outside the stage's outputs. Its name is a digest of the stage's parameters and dependencies; a
stage that was killed resumes there.
"""

import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
import torch.distributed as dist
from tqdm import tqdm

from stages.common import artifacts, pipeline, scratch, stage

T = TypeVar("T")
HIDDEN = shutil.ignore_patterns(".*")  # what is half-written, or of use to a later try alone
LOOK_S = 2.0  # between two looks at what all ranks have written


def rank() -> int:
    """Return this process's rank; 0 where neither the launcher nor torchrun started it, even if RANK is set."""
    return int(os.environ["RANK"]) if stage.is_rank() else 0


def size() -> int:
    """Return the number of ranks; 1 where neither the launcher nor torchrun started this process."""
    return int(os.environ["WORLD_SIZE"]) if stage.is_rank() else 1


def barrier() -> None:
    """Wait for all ranks."""
    if size() > 1:
        if not dist.is_initialized():
            store = os.environ.get(stage.STORE_FILE)  # ranks of one machine meet in a file, no port is opened
            url = f"file://{store}" if store else "env://"
            timeout = timedelta(days=7)  # a rank may train while others wait
            backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
            dist.init_process_group(backend, init_method=url, rank=rank(), world_size=size(), timeout=timeout)
        dist.barrier()


def own(items: Sequence[T]) -> Sequence[T]:
    """Return the items that this rank takes of those that all share: r, r + size, ..."""
    return items[rank() :: size()]


def total(x: np.ndarray) -> np.ndarray:
    """Return the sum of all ranks' arrays, which have one shape; all ranks call this."""
    if size() == 1:
        return x
    barrier()
    summed = torch.from_numpy(x.copy())
    dist.all_reduce(summed)
    return summed.numpy()


def share(items: Sequence[T], work: Callable[[T], None], label: str | None) -> None:
    """Call `work` on every item, each rank on its own; returns when all are done.

    Shows how many of rank 0's items are done, unless `label` is None.
    """
    silent = rank() != 0 or label is None
    for item in tqdm(own(items), label, disable=silent, mininterval=1, ncols=80, file=sys.stdout):
        work(item)
    barrier()


def make(files: Mapping[Path, int], work: Callable[[Path], None], label: str, unit: str) -> None:
    """Call `work` on each of these files that is missing, to write it; ranks share them as in `share`.

    files: how many `unit`s each holds. Rank 0 shows how many of them lie there, whichever rank wrote them, in this run
    or in one that was killed; how fast they come, and how long the rest will take.
    """
    todo = [file for file in files if not file.exists()]
    barrier()  # all ranks have looked before one writes
    with _watched(files, todo, label, unit) if rank() == 0 else nullcontext():
        share(todo, work, None)


@contextmanager
def _watched(files: Mapping[Path, int], todo: Sequence[Path], label: str, unit: str) -> Iterator[None]:
    """Show in one line how many units of the files are there, while they are written."""
    missing, total = set(todo), sum(files.values())
    bar = tqdm(
        desc=label, total=total, initial=total - sum(files[file] for file in todo), unit=f" {unit}", unit_scale=True,
        miniters=1, mininterval=1, ncols=80, file=sys.stdout,
    )  # fmt: skip

    def look() -> None:
        names = {folder: set(os.listdir(folder)) for folder in {file.parent for file in missing} if folder.exists()}
        written = {file for file in missing if file.name in names.get(file.parent, ())}
        missing.difference_update(written)
        bar.update(sum(files[file] for file in written))

    def watch() -> None:
        while not ended.wait(LOOK_S):
            look()

    ended, watching = threading.Event(), threading.Thread(target=watch, daemon=True)
    watching.start()
    try:
        yield
    finally:
        ended.set()
        watching.join()
        look()
        bar.close()


def together(items: Sequence[T], work: Callable[[T], None], label: str | None) -> None:
    """Call `work` on every item, all ranks on one after the other."""
    barrier()  # they may talk to each other from here on
    for item in tqdm(items, label, disable=rank() != 0 or label is None, mininterval=1, ncols=80, file=sys.stdout):
        work(item)
        barrier()


@contextmanager
def kept(address: str) -> Iterator[Path]:
    """Yield the folder of the parts that the stage at `address`, e.g. `train@base`, has finished.

    It is the same for all ranks, and for a later try while the stage's parameters and dependencies, as dvc.yaml
    declares them, are the same. It is removed when the block ends well and kept otherwise.
    """
    folder = scratch.parts(address, os.environ.get(scratch.KEY) or pipeline.state(address).key())
    folder.mkdir(parents=True, exist_ok=True)
    barrier()
    yield folder
    barrier()
    if rank() == 0:
        shutil.rmtree(folder)
        with suppress(OSError):  # not empty: it also holds the kept outputs of an earlier run
            folder.parent.rmdir()


def publish(folder: Path, output: str | Path) -> None:
    """Make the items of a scratch folder a stage's output, once all ranks are done; rank 0 does it.

    They lie in both, but once on the disk: by a move, a run that is killed here would lose what it has.
    """
    barrier()
    if rank() == 0:
        with artifacts.output_folder(output) as fresh:
            for item in sorted(folder.iterdir()):
                if item.name == "lock" or item.name.startswith("."):
                    continue
                if item.is_dir():
                    shutil.copytree(item, fresh / item.name, ignore=HIDDEN, copy_function=_link)
                else:
                    _link(item, fresh / item.name)
    barrier()


def _link(source: str | Path, target: str | Path) -> None:
    """Give a file a second name, or copy it where the disk has no hard links, or it is another one."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
