"""From an embedding back to identity parameters, by regression."""

from torch import Tensor, nn


class Inverter(nn.Module):
    """A residual multi-layer perceptron: unit rows (b, d) to identity parameters (b, p)."""

    def __init__(self, embedding_size: int, parameters: int, width: int = 512, blocks: int = 2) -> None:
        """Build the network."""
        super().__init__()
        self.enter = nn.Linear(embedding_size, width)
        self.blocks = nn.ModuleList(_Block(width) for _ in range(blocks))
        self.leave = nn.Linear(width, parameters)

    def forward(self, x: Tensor) -> Tensor:
        """Return identity parameters (b, p)."""
        h = self.enter(x * x.shape[1] ** 0.5)  # coordinates of unit variance
        for block in self.blocks:
            h = h + block(h)
        return self.leave(h)


class _Block(nn.Sequential):
    def __init__(self, width: int) -> None:
        super().__init__(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Dropout(0.1))
