"""Batch normalisation by the statistics of all ranks, so that a network learns the same on one rank and on many."""

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from stages.training.collectives import Group


def synchronise(net: nn.Module, group: Group) -> None:
    """Let every batch normalisation in a network take its mean and variance over the group; keys and weights stay.

    torch's SyncBatchNorm does the same, on GPUs alone.
    """
    if group.size == 1:
        return
    for module in list(net.modules()):
        for name, child in module.named_children():
            if isinstance(child, _BatchNorm):
                setattr(module, name, _Synchronised(child, group))


class _Synchronised(_BatchNorm):
    def __init__(self, norm: _BatchNorm, group: Group) -> None:
        super().__init__(norm.num_features, norm.eps, norm.momentum, norm.affine)
        self.group = group
        self.weight, self.bias = norm.weight, norm.bias
        self.running_mean, self.running_var = norm.running_mean, norm.running_var
        self.num_batches_tracked = norm.num_batches_tracked
        self.train(norm.training)

    def _check_input_dim(self, input: Tensor) -> None:
        """Take whatever has its channels in the second dimension."""

    def forward(self, input: Tensor) -> Tensor:
        """Return faces' features (b, c, ...) normalised, in their own precision; statistics are taken in float32."""
        x = input
        if not self.training:
            return super().forward(x)
        others, shape = [0, *range(2, x.ndim)], [1, -1, *[1] * (x.ndim - 2)]
        before = self.running_mean.clone()  # pyright: ignore  # near the mean: its square would cancel what varies
        y = x.float() - before.view(shape)
        count = y.new_tensor([y.numel() / y.shape[1]])
        sums = self.group.added(torch.cat([y.sum(others), y.square().sum(others), count]))
        (total, squares), n = sums[:-1].view(2, -1), sums[-1]
        mean = total / n
        variance = (squares / n - mean.square()).clamp_min(0)
        with torch.no_grad():
            self.num_batches_tracked += 1  # pyright: ignore
            self.running_mean.lerp_(before + mean, self.momentum)  # pyright: ignore
            self.running_var.lerp_(variance * n / (n - 1), self.momentum)  # pyright: ignore
        scale = (variance + self.eps).rsqrt()
        if self.affine:
            scale = scale * self.weight
        offset = self.bias - mean * scale if self.affine else -mean * scale
        return (y * scale.view(shape) + offset.view(shape)).to(x.dtype)
