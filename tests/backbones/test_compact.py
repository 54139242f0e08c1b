"""The compact network against its arithmetic written out."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from stages.backbones.compact import Compact
from stages.common.errors import InputError


def normalised(x: Tensor, state: dict[str, Tensor], name: str) -> Tensor:
    """Return what an evaluated batch norm makes of x."""
    mean, variance, weight, bias = (state[f"{name}.{end}"] for end in ("running_mean", "running_var", "weight", "bias"))
    return functional.batch_norm(x, mean, variance, weight, bias)


def written_out(state: dict[str, Tensor], x: Tensor, fold: bool) -> Tensor:
    """Return embeddings of images x by the weights of an evaluated network."""

    def convolved(x: Tensor, conv: str, norm: str, stride: int = 1) -> Tensor:
        x = functional.conv2d(x, state[f"{conv}.weight"], stride=stride, padding=1)
        return normalised(x, state, norm)

    if fold:
        b, c, h, w = x.shape
        x = x.view(b, c, h // 2, 2, w // 2, 2).permute(0, 1, 3, 5, 2, 4).reshape(b, 4 * c, h // 2, w // 2)
    x = convolved(x, "stem.0", "stem.1", 1 if fold else 2).relu()
    for i in range(3):
        x = convolved(x, f"levels.{i}.shrink.0", f"levels.{i}.shrink.1", 2).relu()
        branch = convolved(x, f"levels.{i}.branch.0", f"levels.{i}.branch.1").relu()
        x = x + convolved(branch, f"levels.{i}.branch.3", f"levels.{i}.branch.4")
    x = x.flatten(1) @ state["project.weight"].T
    return normalised(x, state, "norm")


@pytest.mark.parametrize("fold", [False, True])
def test_rows_are_those_of_the_arithmetic_written_out(fold: bool):
    torch.manual_seed(0)
    net = Compact([4, 6, 8, 10], 5, 32, 2, fold)
    x = torch.randn(8, 2, 32, 32)
    net(x)  # the running means are not those of the start
    for name, value in net.state_dict().items():
        if name.endswith(("bias", "weight")) and value.ndim == 1:
            value.uniform_(0.5, 1.5)  # gains and offsets that would be missed
    assert torch.allclose(net.eval()(x), written_out(net.state_dict(), x, fold), atol=1e-4)


def test_a_tenth_of_the_features_is_dropped_in_training_alone():
    torch.manual_seed(0)
    net = Compact([4, 6, 8, 10], 5, 32, 2).eval()
    x = torch.randn(2, 2, 32, 32)
    assert torch.equal(net(x), net(x))
    assert net.dropout.p == 0.1 and not torch.equal(net.train()(x), net(x))


def test_a_size_that_does_not_shrink_evenly_is_refused():
    with pytest.raises(InputError) as error:
        Compact([4, 6, 8, 10], 5, 40)
    assert (error.value.key, error.value.value, error.value.allowed) == ("size_px", 40, "a multiple of 16")
