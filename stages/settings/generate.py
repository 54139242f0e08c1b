"""The `generate` section of params.yaml."""

import math
from typing import Annotated, Literal

from pydantic import Field

from stages.common.params import Count, Fraction, Network, NonNegative, Positive, Seed, settings


@settings
class Depth:
    """The first `identities` identities have at least `images` images each."""

    identities: Count
    images: Count


@settings
class Noise:
    """A `share` of each identity's images is perturbed with `sigma`."""

    sigma: NonNegative
    share: Fraction


@settings
class Mixup:
    """Identity mixup: `images` mixed images of each of the first `identities` identities (0: none)."""

    identities: Annotated[int, Field(ge=0)]
    images: Count

    def __post_init__(self) -> None:
        """Refuse an identity alone."""
        if self.identities == 1:
            raise ValueError("mixup.identities = 1: nobody to mix with; allowed: 0, or at least 2")


@settings
class Control:
    """So many gallery, Gaussian and packed rows are drawn without perturbation, for the audit."""

    identities: Annotated[int, Field(ge=2)]
    images: Annotated[int, Field(ge=2)]


@settings
class Diffusion:
    """How `arc2face` denoises; `batch` pictures at once, always so many, whatever is asked for."""

    steps: Annotated[int, Field(ge=1, le=1000)]
    guidance: Annotated[float, Field(ge=0, le=100)]
    lcm: bool
    batch: Annotated[int, Field(ge=1, le=1024)]


@settings
class Attributes:
    """AttrOP: at most `steps` steps of Adam on a condition, until its face is the row's and a good picture.

    `centres` moves the identities before their images are drawn; those that fail are left out. `quality` is the network
    whose feature norm says how good a picture is.
    """

    centres: bool
    steps: Annotated[int, Field(ge=1, le=1000)]
    rate: Positive
    min_cosine: Annotated[float, Field(ge=-1, le=1)]
    min_norm: NonNegative
    quality: Network


@settings
class Poses:
    """The first `identities` identities (0: none) are drawn once at each yaw by AttrOP, all at the same pitch."""

    identities: Annotated[int, Field(ge=0)]
    yaw_deg: Annotated[list[Annotated[float, Field(ge=-60, le=60)]], Field(min_length=1)]
    pitch_deg: Annotated[float, Field(ge=-30, le=30)]
    tolerance_deg: Positive


@settings
class Generate:
    """How images are drawn of the packed identities; `weights` is the folder that the backend reads."""

    backend: Literal["embedded", "arc2face", "vec2face"]
    weights: Annotated[str, Field(min_length=1)]
    depths: list[Depth]
    perturbation: Literal["none", "beta", "sigma"]
    beta: NonNegative
    sigma: list[Noise]
    mixup: Mixup
    refine_steps: Annotated[int, Field(ge=0, le=1000)]
    diffusion: Diffusion
    control: Control
    attributes: Attributes
    poses: Poses
    seed: Seed

    def __post_init__(self) -> None:
        """Refuse what one key alone cannot show."""
        if not self.depths:
            raise ValueError("depths is empty; allowed: at least one entry of identities and images")
        if self.sigma and not math.isclose(sum(noise.share for noise in self.sigma), 1, abs_tol=1e-9):
            raise ValueError(f"sigma: shares sum to {sum(n.share for n in self.sigma):g}; allowed: 1")
        if self.perturbation == "sigma" and not self.sigma:
            raise ValueError("perturbation = 'sigma' with an empty sigma; allowed: at least one sigma and share")

    def needs_gradients(self) -> bool:
        """Return whether AttrOP moves anything."""
        return self.attributes.centres or self.poses.identities > 0

    def images_of(self, identity: int) -> int:
        """Return how many images identity number `identity` has; 0 beyond the last."""
        return max((depth.images for depth in self.depths if identity < depth.identities), default=0)

    def identities(self) -> int:
        """Return how many identities have images."""
        return max(depth.identities for depth in self.depths)
