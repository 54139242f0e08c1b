"""CosFace (Wang et al., CVPR 2018): the margin is subtracted from the target's cosine."""

from torch import Tensor

from stages.training.heads import MarginHead


class CosFace(MarginHead):
    """Target logit scale * (cos t - margin); the paper has scale 64 and margin 0.35."""

    def target(self, cos: Tensor, norm: Tensor) -> Tensor:
        """Return the target's cosine less the margin."""
        return cos - self.margin
