"""CurricularFace (Huang et al., CVPR 2020): hard negatives weigh more as the training succeeds."""

import torch
from torch import Tensor

from stages.training.heads import MarginHead, angular, in_range


class CurricularFace(MarginHead):
    """Target logit scale * cos(t + margin), as ArcFace; a cosine above the target's becomes cos * (t_mean + cos).

    t_mean is the mean cosine of targets over past batches, starting at 0. The paper has scale 64 and margin 0.5.

    t_alpha: weight of a new batch in t_mean. The paper calls 0.99 the momentum of that mean but gives it to the new
    batch; the authors' code has 0.01. That code compares with cos(t + margin) even beyond pi, where the target itself
    has its guard; here the target that enters the loss is compared, as in the paper's equation. With soft labels the
    mean takes both targets by their ratio. SOTA-FR takes the mean over all classes instead of the targets.
    """

    t_mean: Tensor

    def __init__(self, classes: int, d: int, scale: float, margin: float, *, t_alpha: float = 0.01) -> None:
        """Draw class weights and set the mean to 0."""
        super().__init__(classes, d, scale, margin)
        self.t_alpha = in_range("t_alpha", t_alpha, 0, 1)
        self.register_buffer("t_mean", torch.tensor(0.0))

    def observe(self, norm: Tensor, cos: Tensor) -> None:
        """Move the mean towards the cosines of this batch."""
        self.t_mean.lerp_(cos.mean(), self.t_alpha)

    def target(self, cos: Tensor, norm: Tensor) -> Tensor:
        """Return the cosine of the target's angle plus the margin."""
        return angular(cos, self.margin)

    def negatives(self, cos: Tensor, target: Tensor) -> Tensor:
        """Return the cosines, the hard ones modulated."""
        return torch.where(cos > target, cos * (self.t_mean + cos), cos)
