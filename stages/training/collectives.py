"""What ranks that share a batch tell each other, with the gradients that belong to it.

All ranks compute one loss, the same number on each, from values of two kinds: those that every rank has alike (the
gathered embeddings, the labels), and those that a rank has for itself (cosines to its own class weights). A gradient
that a rank holds for a value of its own is whole. For a value that all have alike a rank holds a part, and the sum of
the parts is the gradient: `gather` and `summed` take it. What every rank computes alike from such a value, without the
help of a rank's own, would enter that sum once a rank: `shared` divides it.

This is Megatron-LM's (Shoeybi et al., 2019) pair of conjugate operators, for class weights that are split by rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd import Function


@dataclass(frozen=True)
class Group:
    """This rank and the number of ranks that share its batches; alone, every method gives back its argument.

    handle: torch's process group; None is the default one. Its backend must reach the tensors' device.
    """

    rank: int = 0
    size: int = 1
    handle: dist.ProcessGroup | None = None

    def gather(self, x: Tensor, sizes: Sequence[int]) -> Tensor:
        """Return the rows of all ranks (sum of sizes, ...), one rank's after the other; rank r has sizes[r] of them.

        Backward: the sum over the ranks of the gradient, at this rank's rows, times the number of ranks, because
        DistributedDataParallel then takes the mean over the ranks.
        """
        assert x.shape[0] == sizes[self.rank] and len(sizes) == self.size
        return x if self.size == 1 else _Gather.apply(x, list(sizes), self)

    def total(self, x: Tensor) -> Tensor:
        """Return the sum over the ranks of a value that each has for itself; backward: the gradient, as it is."""
        return x if self.size == 1 else _Total.apply(x, self)

    def maximum(self, x: Tensor) -> Tensor:
        """Return the largest value over the ranks in every place, without gradient."""
        return self._reduced(x, dist.ReduceOp.MAX)

    def shared(self, x: Tensor) -> Tensor:
        """Return x, alike on all ranks, for a term that all compute alike; backward: the gradient over their number."""
        return x if self.size == 1 else _Shared.apply(x, self)

    def summed(self, x: Tensor) -> Tensor:
        """Return the sum over the ranks, without gradient."""
        return self._reduced(x, dist.ReduceOp.SUM)

    def added(self, x: Tensor) -> Tensor:
        """Return the sum over the ranks of a value of each one's own, on which values of each one's own depend again.

        Backward: the sum of the gradients.
        """
        return x if self.size == 1 else _Added.apply(x, self)

    def agreed(self, value: float) -> float:
        """Return the value of rank 0, so that all ranks decide alike."""
        if self.size == 1:
            return value
        first = torch.tensor(value, dtype=torch.float64)
        dist.broadcast(first, 0, self.handle)
        return first.item()

    def wait(self) -> None:
        """Wait for all ranks."""
        if self.size > 1:
            dist.barrier(self.handle)

    def _reduced(self, x: Tensor, operation: Any) -> Tensor:
        if self.size == 1:
            return x.detach()
        x = x.detach().clone(memory_format=torch.contiguous_format)
        dist.all_reduce(x, operation, self.handle)
        return x


ALONE = Group()


class _Gather(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, sizes: list[int], group: Group) -> Tensor:
        ctx.sizes, ctx.group = sizes, group
        padded = x.new_zeros((max(sizes), *x.shape[1:]))
        padded[: len(x)] = x
        parts = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(parts, padded, group.handle)
        return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        own = ctx.group.summed(grads[0]).split(ctx.sizes)[ctx.group.rank]
        return own * ctx.group.size, None, None


class _Total(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, group: Group) -> Tensor:
        return group.summed(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return grads[0], None


class _Added(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, group: Group) -> Tensor:
        ctx.group = group
        return group.summed(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return ctx.group.summed(grads[0]), None


class _Shared(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, group: Group) -> Tensor:
        ctx.size = group.size
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return grads[0] / ctx.size, None
