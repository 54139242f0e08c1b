"""The small network for faces on phones, in the key layout of insightface's arcface_torch.

Chen et al. 2018 (MobileFaceNet): widths 64, 64, 128, 128, blocks 1, 4, 6, 2, expansion 2, embedding size 128.
arcface_torch's mbf: widths 128, 128, 256, 256, the same blocks, expansion 1; its mbf_large: widths 256, 256, 512, 512,
blocks 2, 8, 12, 4, expansion 0.5; embedding size 512. It calls them scale 2 and 4: wider between the bottlenecks, with
hidden layers as narrow as the paper's. Like theirs, a level of more than one block begins the network with
bottlenecks where the paper has a depthwise convolution, whose groups have two channels each in mbf. The last two layers
have the paper's shapes at 112 px; every weight, the last linear layer's too, follows `widths`.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from stages.common.errors import InputError
from stages.common.recomputation import Recomputing

SHRINK = 16  # the input's side shrinks by this factor before the last layers


class Mobilefacenet(Recomputing):
    """A strided stem, levels of inverted residual bottlenecks, a weight for each position instead of their mean.

    Input (b, colours, s, s) float, s a multiple of 16; output (b, embedding_size), un-normalised.
    """

    def __init__(
        self,
        widths: Sequence[int],
        embedding_size: int,
        size_px: int,
        colours: int = 3,
        blocks: Sequence[int] = (1, 4, 6, 2),
        expansion: float = 1.0,
    ) -> None:
        """Build the network; `widths` are the channels between the bottlenecks of the four levels.

        expansion: channels inside a bottleneck to those between. Twice as many, as in the paper, where a bottleneck
        shrinks the image into the third and fourth level, and before the last layers.
        """
        super().__init__()
        hidden = [round(expansion * width) for width in widths]
        if size_px % SHRINK:
            raise InputError(None, key="size_px", value=size_px, allowed=f"a multiple of {SHRINK}")
        if blocks[0] == 1 and (hidden[0] < 2 or widths[0] % (hidden[0] // 2)):
            allowed = f"half of it, times the first of widths, a divisor of {widths[0]}"
            raise InputError(None, key="expansion", value=expansion, allowed=allowed)
        self.layers = nn.ModuleList(
            [
                _convolved(colours, widths[0], 3, stride=2),
                _first_level(widths[0], hidden[0], blocks[0]),
                _Bottleneck(widths[0], hidden[0], widths[1], stride=2),
                _level(widths[1], hidden[1], blocks[1]),
                _Bottleneck(widths[1], 2 * hidden[1], widths[2], stride=2),
                _level(widths[2], hidden[2], blocks[2]),
                _Bottleneck(widths[2], 2 * hidden[2], widths[3], stride=2),
                _level(widths[3], hidden[3], blocks[3]),
            ]
        )
        last = 2 * hidden[3]
        self.conv_sep = _convolved(widths[3], last, 1)
        pooled = _linear(last, last, size_px // SHRINK, groups=last)  # "global depthwise convolution"
        project = nn.Linear(last, embedding_size, bias=False)
        self.features = _Layers(pooled, nn.Flatten(), project, nn.BatchNorm1d(embedding_size))
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")  # as arcface_torch draws

    def forward(self, x: Tensor) -> Tensor:
        """Return embeddings (b, embedding_size)."""
        blocks = [block for layer in self.layers for block in (layer.layers if isinstance(layer, _Level) else [layer])]
        x = self.conv_sep(self.through(blocks, x))
        *project, norm = self.features.layers
        for layer in project:
            x = layer(x)
        return norm(x.float())


class _Layers(nn.Module):
    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class _Level(_Layers):
    pass


class _Bottleneck(_Layers):
    def __init__(self, before: int, hidden: int, width: int, stride: int = 1) -> None:
        depthwise = _convolved(hidden, hidden, 3, stride, groups=hidden)
        super().__init__(_convolved(before, hidden, 1), depthwise, _linear(hidden, width, 1))
        self.residual = stride == 1

    def forward(self, x: Tensor) -> Tensor:
        return torch.add(x, self.layers(x)) if self.residual else self.layers(x)


def _first_level(width: int, hidden: int, blocks: int) -> nn.Module:
    return _level(width, hidden, blocks) if blocks > 1 else _convolved(width, width, 3, groups=hidden // 2)


def _level(width: int, hidden: int, blocks: int) -> _Level:
    return _Level(*(_Bottleneck(width, hidden, width) for _ in range(blocks)))


def _convolved(before: int, width: int, kernel: int, stride: int = 1, groups: int = 1) -> _Layers:
    return _Layers(*_linear(before, width, kernel, stride, groups, kernel // 2).layers, nn.PReLU(width))


def _linear(before: int, width: int, kernel: int, stride: int = 1, groups: int = 1, padding: int = 0) -> _Layers:
    conv = nn.Conv2d(before, width, kernel, stride, padding, groups=groups, bias=False)
    return _Layers(conv, nn.BatchNorm2d(width))
