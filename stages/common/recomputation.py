"""Run blocks without keeping what lies inside them: the backward pass computes it again ("activation checkpointing").

Memory for the activations of IResNets becomes a fourth, and a training step takes a third more time (Chen et al.
2016, "Training deep nets with sublinear memory cost").
"""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


class Recomputing(nn.Module):
    """A network of blocks that training may compute twice instead of keeping what lies inside them."""

    checkpoint_blocks = False

    def through(self, blocks: Iterable[nn.Module], x: Tensor) -> Tensor:
        """Return x after all blocks; with `checkpoint_blocks` set, keep their inputs alone for the backward pass.

        Rows, gradients, buffers and the state of the random generators are the same to the bit, either way, but for
        normalisations that take in several ranks, which round otherwise.
        """
        for block in blocks:
            x = _checkpointed(block, x) if self.checkpoint_blocks else block(x)
        return x


def _checkpointed(block: nn.Module, x: Tensor) -> Tensor:
    if torch.compiler.is_compiling():  # a compiled graph writes buffers once, whatever it computes again
        return checkpoint(block, x, use_reentrant=False)

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _buffers_kept(block)

    return checkpoint(block, x, use_reentrant=False, context_fn=contexts)


@contextmanager
def _buffers_kept(block: nn.Module) -> Iterator[None]:
    """Give a block copies of its buffers for a while: batch normalisation would count the same batch twice."""
    kept = [(module, *named) for module in block.modules() for named in module.named_buffers(recurse=False)]
    for module, name, buffer in kept:
        setattr(module, name, buffer.clone())
    try:
        yield
    finally:
        for module, name, buffer in kept:
            setattr(module, name, buffer)
