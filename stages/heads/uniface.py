"""UniFace (Zhou et al., ICCV 2023): one learned threshold parts the cosines to the target from all others."""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from stages.training.heads import MarginHead, in_range


class UniFace(MarginHead):
    """log(1 + exp(bias - scale (cos t - margin))) + lambda_n * sum over the others of log(1 + exp(scale cos - bias)).

    The paper's balanced loss with a margin (its equation 32), of scale 64, margin 0.4 and lambda_n 1; its r is the
    sampling of class weights. bias is learned; it starts at log(10 r classes), as in the authors' code. SOTA-FR's
    configurations start it at log(10 images).

    Both of those clip what is exponentiated to -scale ... scale, where their gradient ends; softplus overflows nowhere.
    """

    def __init__(self, classes: int, d: int, scale: float, margin: float, *, lambda_n: float = 1.0) -> None:
        """Draw class weights and set the bias."""
        super().__init__(classes, d, scale, margin)
        self.lambda_n = in_range("lambda_n", lambda_n, 0)
        self.bias = nn.Parameter(torch.tensor([math.log(10 * self.sample * classes)]))

    def target(self, cos: Tensor, norm: Tensor) -> Tensor:
        """Return the target's cosine less the margin."""
        return cos - self.margin

    def loss(self, logits: Tensor, label: Tensor) -> Tensor:
        """Return the sum of the losses of both kinds of cosines."""
        x = self.scale * logits - self.bias
        is_target = label[:, None] == torch.arange(logits.shape[1], device=label.device)
        return self.total(torch.where(is_target, softplus(-x), self.lambda_n * softplus(x)))
