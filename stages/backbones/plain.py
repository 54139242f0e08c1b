"""The judge's network: no residual path, wide kernels first, pooled instead of flattened, a hidden layer at the end."""

from torch import Tensor, nn


class Plain(nn.Module):
    """A plain stack of convolutions with SiLU; mean over a 4 x 4 grid of positions; two linear layers.

    Input (b, colours, s, s) float; output (b, embedding_size), un-normalised. It differs from `Compact` in every part,
    so that the two recognisers do not make the same mistakes by construction.
    """

    def __init__(self, widths: list[int], embedding_size: int, size_px: int, colours: int = 1) -> None:
        """Build the network; `widths` are the channels of its levels; size_px is not used: positions are pooled."""
        super().__init__()
        kernels = [5, *[3] * (len(widths) - 1)]
        before = [colours, *widths]
        self.levels = nn.Sequential(
            *(_level(a, b, k) for a, b, k in zip(before, widths, kernels, strict=False)),
        )
        self.hidden = nn.Linear(widths[-1] * GRID**2, 256)
        self.project = nn.Linear(256, embedding_size)

    def forward(self, x: Tensor) -> Tensor:
        """Return embeddings (b, embedding_size)."""
        features = nn.functional.adaptive_avg_pool2d(self.levels(x), GRID).flatten(1)
        return self.project(nn.functional.silu(self.hidden(features))).float()


GRID = 4  # positions a side that the pooling keeps


def _level(before: int, width: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, width, kernel, stride=2, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(width),
        nn.SiLU(inplace=True),
        nn.Conv2d(width, width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.SiLU(inplace=True),
    )
