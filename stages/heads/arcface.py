"""ArcFace (Deng et al., CVPR 2019): the margin is added to the target's angle."""

from torch import Tensor

from stages.training.heads import MarginHead, angular


class ArcFace(MarginHead):
    """Target logit scale * cos(t + margin), margin in radians; the paper has scale 64 and margin 0.5.

    The gradient is that of this loss. insightface, and after it CVLface and SOTA-FR, edit the logits outside the graph
    and pass the gradient straight through; for random weights the two differ by a third. Beyond t + margin = pi the
    target goes on falling, as `angular` says; in insightface it rises, for the guard that its class prepares is not
    used.
    """

    def target(self, cos: Tensor, norm: Tensor) -> Tensor:
        """Return the cosine of the target's angle plus the margin."""
        return angular(cos, self.margin) if self.margin else cos
