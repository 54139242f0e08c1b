"""CosFace (Wang et al., CVPR 2018): the margin is subtracted from the target's cosine."""

from torch import Tensor

from stages.training.heads import MarginHead


class CosFace(MarginHead):
    """Target logit scale * (cos t - margin)."""

    def target(self, cos: Tensor) -> Tensor:
        """Return the target's cosine less the margin."""
        return cos - self.margin


def load(classes: int, d: int, scale: float, margin: float) -> CosFace:
    """Build the head."""
    return CosFace(classes, d, scale, margin)
