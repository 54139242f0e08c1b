"""The judge's network against its arithmetic written out."""

import torch
from backbones.test_compact import normalised
from torch import Tensor
from torch.nn import functional

from stages.backbones.plain import Plain


def written_out(state: dict[str, Tensor], x: Tensor) -> Tensor:
    """Return embeddings of images x by the weights of an evaluated network of two levels."""
    for level, width in ((0, 5), (1, 3)):
        for conv, kernel, stride in ((0, width, 2), (3, 3, 1)):
            x = functional.conv2d(x, state[f"levels.{level}.{conv}.weight"], stride=stride, padding=kernel // 2)
            x = normalised(x, state, f"levels.{level}.{conv + 1}")
            x = x * torch.sigmoid(x)
    side = x.shape[-1] // 4
    x = x.unflatten(2, (4, side)).unflatten(4, (4, side)).mean((3, 5)).flatten(1)
    x = x @ state["hidden.weight"].T + state["hidden.bias"]
    return (x * torch.sigmoid(x)) @ state["project.weight"].T + state["project.bias"]


def test_rows_are_those_of_the_arithmetic_written_out():
    torch.manual_seed(0)
    net = Plain([4, 6], 5, 32, 2)
    x = torch.randn(8, 2, 32, 32)
    net(x)
    for name, value in net.state_dict().items():
        if name.endswith(("bias", "weight")) and value.ndim == 1:
            value.uniform_(0.5, 1.5)
    assert torch.allclose(net.eval()(x), written_out(net.state_dict(), x), atol=1e-4)
