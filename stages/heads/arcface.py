"""ArcFace (Deng et al., CVPR 2019): the margin is added to the target's angle."""

import math

import torch
from torch import Tensor

from stages.training.heads import MarginHead

EDGE = 1e-6  # cosines this near to +-1 are moved inwards: the angle has no finite slope there


class ArcFace(MarginHead):
    """Target logit scale * cos(t + margin), margin in radians.

    The gradient is the true one, with its factor sin(t + margin) / sin t; insightface edits the logits outside the
    graph and passes the gradient straight through. Beyond t + margin = pi the cosine would rise again and reward the
    worst samples; there the target continues as cos t - margin sin margin, falling as t grows (the guard of
    CurricularFace's code).
    """

    def target(self, cos: Tensor) -> Tensor:
        """Return the cosine of the target's angle plus the margin."""
        cos = cos.clamp(-1 + EDGE, 1 - EDGE) if self.margin else cos
        sin = (1 - cos.square()).clamp_min(0).sqrt() if self.margin else torch.zeros_like(cos)
        moved = cos * math.cos(self.margin) - sin * math.sin(self.margin)
        return torch.where(cos > -math.cos(self.margin), moved, cos - self.margin * math.sin(self.margin))


def load(classes: int, d: int, scale: float, margin: float) -> ArcFace:
    """Build the head."""
    return ArcFace(classes, d, scale, margin)
