"""Share a packing over ranks: each owns whole tiles of rows, and gets all rows from the others."""

import torch
import torch.distributed as dist
from torch import Tensor

from stages.common import ranks
from stages.common.devices import device
from stages.packing.tiles import TILE


class Exchange:
    """`own` is this rank's slice of m rows; without torchrun it is all of them and nothing is sent."""

    def __init__(self, m: int) -> None:
        """Divide m rows into a block of whole tiles for each rank; the last ranks may get fewer or none."""
        self.rank, self.size, self.m = ranks.rank(), ranks.size(), m
        self.block = -(-m // (TILE * self.size)) * TILE if self.size > 1 else m
        self.own = slice(min(self.rank * self.block, m), min((self.rank + 1) * self.block, m))
        self.group = None
        if self.size > 1:
            ranks.barrier()  # sets gloo up
            if device().type == "cuda":
                torch.cuda.set_device(device())
                self.group = dist.new_group(backend="nccl")

    def rows(self, own: Tensor) -> Tensor:
        """Return all rows (m, ...) from the owned ones."""
        if self.size == 1:
            return own
        block = own.new_zeros((self.block, *own.shape[1:]))
        block[: len(own)] = own
        gathered = block.new_empty((self.size * self.block, *block.shape[1:]))
        dist.all_gather_single(gathered.view(torch.uint8), block.view(torch.uint8), self.group)  # any dtype
        return gathered[: self.m]

    def maximum(self, x: Tensor) -> Tensor:
        """Return the largest value over the ranks in every place."""
        if self.size > 1:
            dist.all_reduce(x, dist.ReduceOp.MAX, self.group)
        return x

    def any(self, flag: bool) -> bool:
        """Return whether the flag is set on any rank."""
        return bool(self.maximum(torch.tensor([flag], dtype=torch.int32, device=device())).item())
