"""AdaFace (Kim et al., CVPR 2022): the margin depends on the image's quality, for which the embedding's norm stands."""

import math

import torch
from torch import Tensor

from stages.training.heads import MarginHead, in_range

NORMS = 1e-3, 100.0  # norms are clipped to these, in the authors' code and here
EDGE = 1e-3  # cosines, and angles from 0 and pi, keep this distance, in the authors' code and here


class AdaFace(MarginHead):
    """Target logit scale * (cos(t - margin q) - margin (1 + q)); the paper has scale 64 and margin 0.4.

    q = clip(h (norm - mean) / standard deviation, -1, 1), without gradient, from means over past batches that start at
    20 and 100. A long embedding gets a margin on its cosine, as CosFace, a short one on its angle, as ArcFace.

    h: concentration of q. t_alpha: weight of a new batch in the means. Both are the paper's; the authors' class has
    t_alpha 1, which keeps no past batch, and their command line h 0. Their standard deviation of a batch of one is NaN
    and stays so; here such a batch leaves the means alone. They clip all cosines, we the target's. SOTA-FR multiplies
    the angle by 1 - margin q instead of subtracting margin q.
    """

    norm_mean: Tensor
    norm_sd: Tensor

    def __init__(
        self, classes: int, d: int, scale: float, margin: float, *, h: float = 0.333, t_alpha: float = 0.01
    ) -> None:
        """Draw class weights and set the means to the authors' first values."""
        super().__init__(classes, d, scale, margin)
        self.h, self.t_alpha = in_range("h", h, 0), in_range("t_alpha", t_alpha, 0, 1)
        self.register_buffer("norm_mean", torch.tensor(20.0))
        self.register_buffer("norm_sd", torch.tensor(100.0))

    def observe(self, norm: Tensor, cos: Tensor) -> None:
        """Move mean and standard deviation of the norms towards this batch's."""
        if len(norm) > 1:
            norm = norm.clamp(*NORMS)
            self.norm_mean.lerp_(norm.mean(), self.t_alpha)
            self.norm_sd.lerp_(norm.std(), self.t_alpha)

    def target(self, cos: Tensor, norm: Tensor) -> Tensor:
        """Return the target's cosine with both its margins."""
        quality = self.h * (norm.detach().clamp(*NORMS) - self.norm_mean) / (self.norm_sd + EDGE)
        shift = self.margin * quality.clamp(-1, 1)
        angle = cos.clamp(-1 + EDGE, 1 - EDGE).acos() - shift
        return angle.clamp(EDGE, math.pi - EDGE).cos() - self.margin - shift
