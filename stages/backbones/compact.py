"""A small residual network for faces of 64 px: about 0.7 to 2 million parameters, most of them in the last layer.

Widths that are multiples of 16 and plain ReLU matter on CPUs: measured in bfloat16, (16, 32, 64, 128) trains at 1,200
faces/s on one core, (20, 40, 80, 128) with a block on the first level and PReLU at 360.
"""

import torch
from torch import Tensor, nn

from stages.common.errors import InputError

SHRINK = 16  # the input's side shrinks by this factor before the last layer


class Compact(nn.Module):
    """A stem, three levels of a strided convolution and a residual block, one linear layer over all positions.

    Input (b, colours, s, s) float, s a multiple of 16; output (b, embedding_size), un-normalised.
    """

    def __init__(
        self, widths: list[int], embedding_size: int, size_px: int, colours: int = 3, fold_stem: bool = False
    ) -> None:
        """Build the network; `widths` are the channels of the stem and of the three levels.

        The stem is a strided convolution, or folds each 2 x 2 pixels into channels and convolves those: it sees 6 x 6
        pixels instead of 3 x 3 in the same time ("space to depth", as in TResNet, Ridnik et al. 2021).
        """
        super().__init__()
        if size_px % SHRINK:
            raise InputError(None, key="size_px", value=size_px, allowed=f"a multiple of {SHRINK}")
        stem, *levels = widths
        self.fold = _Fold() if fold_stem else nn.Identity()
        self.stem = _convolved(4 * colours, stem, stride=1) if fold_stem else _convolved(colours, stem)
        self.levels = nn.Sequential(*(_Level(a, b) for a, b in zip(widths, levels, strict=False)))
        self.dropout = nn.Dropout(0.1)
        self.project = nn.Linear(widths[-1] * (size_px // SHRINK) ** 2, embedding_size, bias=False)
        self.norm = nn.BatchNorm1d(embedding_size)

    def forward(self, x: Tensor) -> Tensor:
        """Return embeddings (b, embedding_size)."""
        features = self.levels(self.stem(self.fold(x))).flatten(1)
        return self.norm(self.project(self.dropout(features)).float())


class _Fold(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.pixel_unshuffle(x, 2).contiguous(memory_format=torch.channels_last)


class _Level(nn.Module):
    def __init__(self, before: int, width: int) -> None:
        super().__init__()
        self.shrink = _convolved(before, width)
        self.branch = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.shrink(x)
        return torch.add(x, self.branch(x))


def _convolved(before: int, width: int, stride: int = 2) -> nn.Sequential:
    conv = nn.Conv2d(before, width, 3, stride=stride, padding=1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(width), nn.ReLU(inplace=True))
