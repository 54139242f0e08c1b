"""The residual network of ArcFace's authors, in the key layout of insightface's arcface_torch.

18: 2, 2, 2, 2 blocks on its four levels; 34: 3, 4, 6, 3; 50: 3, 4, 14, 3; 100: 3, 13, 30, 3; 200: 6, 26, 60, 6; widths
64, 128, 256, 512, input 112 px, embedding size 512. AdaFace's ir_50 and so on are the same network but for a shortcut
without weights on the first block and an output without gain and offset; a recogniser converts them.
Sources: Deng et al. 2019 (ArcFace), Duta et al. 2020 (IResNet), Hu et al. 2018 (squeeze-excitation).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from stages.common.errors import InputError
from stages.common.recomputation import Recomputing

SHRINK = 16  # the input's side shrinks by this factor before the last layer
REDUCTION = 16  # squeeze-excitation: channels to hidden channels
INITIAL_SD = 0.1  # of convolutions, as arcface_torch draws them


class Iresnet(Recomputing):
    """A stem at full size, four levels of pre-activated residual blocks, one linear layer over all positions.

    Input (b, colours, h, w) float, multiples of 16; output (b, embedding_size), un-normalised.
    """

    def __init__(
        self,
        widths: Sequence[int],
        embedding_size: int,
        size_px: int | tuple[int, int],
        colours: int = 3,
        blocks: Sequence[int] = (3, 4, 14, 3),
        squeeze_excitation: bool = False,
        dropout: float = 0.0,
    ) -> None:
        """Build the network; `widths` are the channels of the four levels, the stem has those of the first.

        size_px: the input's side, or its height and width. dropout: share of the last linear layer's inputs that
        training drops: 0 in arcface_torch, 0.4 in AdaFace.
        """
        super().__init__()
        height, width = (size_px, size_px) if isinstance(size_px, int) else size_px
        if height % SHRINK or width % SHRINK:
            raise InputError(None, key="size_px", value=size_px, allowed=f"a multiple of {SHRINK}")
        self.conv1 = nn.Conv2d(colours, widths[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.prelu = nn.PReLU(widths[0])
        before = [widths[0], *widths]
        for i in range(4):
            self.add_module(f"layer{i + 1}", _level(before[i], widths[i], blocks[i], squeeze_excitation))
        self.bn2 = nn.BatchNorm2d(widths[-1])
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(widths[-1] * (height // SHRINK) * (width // SHRINK), embedding_size)
        self.features = nn.BatchNorm1d(embedding_size)
        self.features.weight.requires_grad_(False)  # stays 1
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, 0, INITIAL_SD)

    def forward(self, x: Tensor) -> Tensor:
        """Return embeddings (b, embedding_size)."""
        x = self.prelu(self.bn1(self.conv1(x)))
        blocks = [block for i in range(4) for block in self.get_submodule(f"layer{i + 1}").children()]
        x = self.through(blocks, x)
        return self.features(self.fc(self.dropout(self.bn2(x)).flatten(1)).float())


class _Block(nn.Module):
    def __init__(self, before: int, width: int, stride: int, squeeze_excitation: bool) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(before)
        self.conv1 = nn.Conv2d(before, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.prelu = nn.PReLU(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(width)
        self.se = _SqueezeExcitation(width) if squeeze_excitation else None
        changes = stride > 1 or before != width
        shortcut = nn.Sequential(nn.Conv2d(before, width, 1, stride, bias=False), nn.BatchNorm2d(width))
        self.downsample = shortcut if changes else None

    def forward(self, x: Tensor) -> Tensor:
        branch = self.prelu(self.bn2(self.conv1(self.bn1(x))))
        branch = self.bn3(self.conv2(branch))
        if self.se is not None:
            branch = self.se(branch)
        return torch.add(branch, x if self.downsample is None else self.downsample(x))


class _SqueezeExcitation(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        hidden = max(1, width // REDUCTION)
        self.fc1 = nn.Conv2d(width, hidden, 1, bias=False)
        self.fc2 = nn.Conv2d(hidden, width, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        pooled = x.mean((2, 3), keepdim=True)
        return x * torch.sigmoid(self.fc2(torch.relu(self.fc1(pooled))))


def _level(before: int, width: int, blocks: int, squeeze_excitation: bool) -> nn.Sequential:
    first = _Block(before, width, 2, squeeze_excitation)
    return nn.Sequential(first, *(_Block(width, width, 1, squeeze_excitation) for _ in range(blocks - 1)))
