"""Keep a network from using few of its dimensions."""

from torch import Tensor
from torch.nn.functional import normalize


def decorrelation(x: Tensor) -> Tensor:
    """Return the mean squared off-diagonal of the batch covariance of unit embeddings (b, d), times d.

    Added to the loss of a margin softmax. Without it networks use about 20 of 128 dimensions, whatever the number of
    people, and what they learn from rendered faces carries over to photographs less well (reports/log.md).
    """
    u = normalize(x)
    u = u - u.mean(0)
    c = x.shape[1] * (u.T @ u) / (len(u) - 1)
    return (c.square().sum() - c.diagonal().square().sum()) / x.shape[1]
