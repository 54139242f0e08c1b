"""MagFace (Meng et al., CVPR 2021): a longer embedding has a larger margin, and is rewarded for being long."""

from torch import Tensor

from stages.training.heads import MarginHead, angular, in_range


class MagFace(MarginHead):
    """Target logit scale * cos(t + m(a)), and lambda_g * g(a) for the norm a, clipped to l_a ... u_a.

    m(a) grows linearly from `least` times the margin at l_a to the margin at u_a, g(a) = a / u_a**2 + 1 / a falls. The
    paper has scale 64, margins from 0.45 to 0.8, which is margin 0.8 here, and lambda_g 35. Both margins follow a
    `margin` that is set while training. Both m and g have gradients to the norm, which end at l_a and u_a.

    Beyond t + m = pi the target goes on falling, as `angular` says. By default the authors' code takes the margin off
    wherever cos t <= 0 (`easy_margin`), which is where random networks begin, and the paper does not say so; without
    that it is equal to this. SOTA-FR has no guard and weighs g by 20.
    """

    def __init__(
        self,
        classes: int,
        d: int,
        scale: float,
        margin: float,
        *,
        l_a: float = 10.0,
        u_a: float = 110.0,
        least: float = 0.45 / 0.8,
        lambda_g: float = 35.0,
    ) -> None:
        """Draw class weights."""
        super().__init__(classes, d, scale, margin)
        self.l_a = in_range("l_a", l_a, 1e-3)
        self.u_a = in_range("u_a", u_a, 1.001 * l_a)
        self.least, self.lambda_g = in_range("least", least, 0, 1), in_range("lambda_g", lambda_g, 0)

    def target(self, cos: Tensor, norm: Tensor) -> Tensor:
        """Return the cosine of the target's angle plus the margin of the norm."""
        length = (norm.clamp(self.l_a, self.u_a) - self.l_a) / (self.u_a - self.l_a)
        return angular(cos, self.margin * (self.least + (1 - self.least) * length))

    def penalty(self, norm: Tensor) -> Tensor:
        """Return lambda_g * g."""
        a = norm.clamp(self.l_a, self.u_a)
        return self.lambda_g * (a / self.u_a**2 + 1 / a)
