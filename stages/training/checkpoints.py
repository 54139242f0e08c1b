"""Checkpoints of a training under way: folders of torch.distributed.checkpoint, which any number of ranks can resume.

    FOLDER/step-000000300/   complete; the newest is resumed, older ones are removed once it is whole
    FOLDER/.writing/         under way; a crash leaves it, and the next checkpoint writes it anew

What every rank holds alike is written once. Class centres that are shared out are DTensors, whose pieces the loader
puts together as the ranks that resume need them, and so are the optimiser's moments of them.
"""

import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor

from stages.training.collectives import Group

WRITING = ".writing"


def latest(folder: Path, group: Group) -> Path | None:
    """Return the newest complete checkpoint in a folder, as rank 0 sees it; None where there is none."""
    newest = max(folder.glob("step-*"), default=None)
    step = int(group.agreed(int(newest.name.removeprefix("step-")) if newest else -1))
    return None if step < 0 else folder / f"step-{step:09}"


def write(folder: Path, step: int, tensors: dict[str, Tensor], group: Group) -> None:
    """Write a checkpoint, all ranks of a group together, then remove older ones."""
    writing, complete = folder / WRITING, folder / f"step-{step:09}"
    if group.rank == 0:
        shutil.rmtree(writing, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
    group.wait()
    with _distributed_checkpoint() as dcp:
        dcp.save(tensors, storage_writer=dcp.FileSystemWriter(writing), no_dist=group.size == 1)
    if group.rank == 0:
        older = list(folder.glob("step-*"))
        writing.rename(complete)
        for checkpoint in older:
            shutil.rmtree(checkpoint)
    group.wait()


def sizes(checkpoint: Path) -> dict[str, tuple[torch.Size, torch.dtype]]:
    """Return the shape and type of every tensor in a checkpoint, whole, by name."""
    with _distributed_checkpoint() as dcp:
        stored = dcp.FileSystemReader(checkpoint).read_metadata().state_dict_metadata
    return {name: (about.size, about.properties.dtype) for name, about in stored.items()}


def read(checkpoint: Path, tensors: dict[str, Tensor], group: Group) -> None:
    """Fill tensors in place from a checkpoint, whatever number of ranks wrote it."""
    with _distributed_checkpoint() as dcp:
        dcp.load(tensors, storage_reader=dcp.FileSystemReader(checkpoint), no_dist=group.size == 1)


def sharded(piece: Tensor, rows: int, group: Group) -> Tensor:
    """Return this rank's rows of a matrix as a part of the whole, which has so many `rows`, shared out in order."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import DTensor, Shard

    mesh = init_device_mesh(piece.device.type, (group.size,))
    shape = torch.Size([rows, *piece.shape[1:]])
    return DTensor.from_local(piece, mesh, [Shard(0)], run_check=False, shape=shape, stride=piece.stride())


@contextmanager
def _distributed_checkpoint() -> Iterator[ModuleType]:
    """Yield torch's module, whose import takes .7 s that short trainings need not spend."""
    import torch.distributed.checkpoint as dcp

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torch.distributed is disabled, unavailable or uninitialized")
        yield dcp
