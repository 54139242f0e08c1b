"""The small network for phones against its arithmetic written out."""

import pytest
import torch
from backbones.test_compact import normalised
from refusal import refused
from torch import Tensor
from torch.nn import functional

from stages.backbones.mobilefacenet import Mobilefacenet


def written_out(t: dict[str, Tensor], x: Tensor, blocks: list[int]) -> Tensor:
    """Return embeddings of images by the weights of an evaluated network."""

    def convolved(x: Tensor, key: str, stride: int = 1, padding: int = 0) -> Tensor:
        weight = t[f"{key}.layers.0.weight"]
        x = functional.conv2d(x, weight, stride=stride, padding=padding, groups=x.shape[1] // weight.shape[1])
        x = normalised(x, t, f"{key}.layers.1")
        slope = t.get(f"{key}.layers.2.weight")
        return x if slope is None else torch.where(x > 0, x, slope[:, None, None] * x)

    def bottleneck(x: Tensor, key: str, stride: int = 1) -> Tensor:
        x = convolved(x, f"{key}.layers.0")
        return convolved(convolved(x, f"{key}.layers.1", stride, 1), f"{key}.layers.2")

    x = convolved(x, "layers.0", 2, 1)
    for level, count in enumerate(blocks):
        if level == 0 and count == 1:
            x = convolved(x, "layers.1", 1, 1)
            continue
        if level:
            x = bottleneck(x, f"layers.{2 * level}", 2)
        for i in range(count):
            x = x + bottleneck(x, f"layers.{2 * level + 1}.layers.{i}")
    x = convolved(convolved(x, "conv_sep"), "features.layers.0").flatten(1)
    return normalised(x @ t["features.layers.2.weight"].T, t, "features.layers.3")


@pytest.mark.parametrize(("blocks", "expansion"), [([1, 2, 1, 1], 1.0), ([2, 1, 1, 1], 0.5), ([1, 1, 2, 1], 2.0)])
def test_rows_are_those_of_the_arithmetic_written_out(blocks: list[int], expansion: float):
    torch.manual_seed(0)
    net = Mobilefacenet([4, 6, 8, 10], 5, 32, 2, blocks, expansion)
    x = torch.randn(8, 2, 32, 32)
    for value in net.state_dict().values():
        if value.ndim == 1:
            value.uniform_(0.5, 1.5)  # gains, offsets, slopes, means and variances that would be missed
    tensors = net.eval().state_dict()
    assert torch.allclose(net(x), written_out(tensors, x, blocks), rtol=1e-4, atol=1e-4)
    assert tensors["layers.2.layers.1.layers.0.weight"].shape[0] == round(4 * expansion)
    assert tensors["layers.4.layers.1.layers.0.weight"].shape[0] == 2 * round(6 * expansion)


def test_sizes_that_do_not_fit_are_refused():
    with refused(key="size_px", value=40, allowed="a multiple of 16"):
        Mobilefacenet([4, 6, 8, 10], 5, 40)
    with refused(key="expansion", value=1.5, allowed="a divisor of 4"):
        Mobilefacenet([4, 6, 8, 10], 5, 32, expansion=1.5)
