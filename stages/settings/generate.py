"""The `generate` section of params.yaml."""

import math
from typing import Annotated, Literal

from pydantic import Field

from stages.common.errors import InputError
from stages.common.params import MAX_IMAGES, Count, DataPath, Fraction, Network, NonNegative, Seed, settings

Width = Annotated[int, Field(ge=0, le=10_000_000)]


@settings
class Depth:
    """The first `identities` identities have at least `images` images each."""

    identities: Count
    images: Count


@settings
class Noise:
    """A `share` of each identity's images is perturbed with `sigma`."""

    sigma: Annotated[float, Field(ge=0, le=10)]
    share: Fraction


@settings
class Mixup:
    """Identity mixup: `images` mixed images of each of the first `identities` identities (0: none).

    Their partners are among these identities, too. A list has an entry for each width that variants mix.
    """

    identities: Width | Annotated[list[Width], Field(max_length=100)]
    images: Count

    def __post_init__(self) -> None:
        """Refuse an identity alone."""
        if 1 in self.widths():
            raise InputError(None, "nobody to mix with", key="identities", value=1, allowed="0, or at least 2")
        if len(set(self.widths())) < len(self.widths()):
            raise InputError(None, "a width twice", key="identities", value=self.identities, allowed="different ones")

    def widths(self) -> list[int]:
        """Return each number of identities that are mixed among themselves; empty where none are."""
        given = self.identities if isinstance(self.identities, list) else [self.identities]
        return [width for width in given if width]


@settings
class Control:
    """So many gallery, Gaussian and packed rows are drawn without perturbation, for the audit."""

    identities: Annotated[int, Field(ge=2, le=100_000)]
    images: Annotated[int, Field(ge=2, le=1000)]


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
    rate: Annotated[float, Field(ge=1e-9, le=10)]
    min_cosine: Annotated[float, Field(ge=-1, le=1)]
    min_norm: NonNegative
    quality: Network


@settings
class Poses:
    """The first `identities` identities (0: none) are drawn once at each yaw by AttrOP, all at the same pitch."""

    identities: Annotated[int, Field(ge=0, le=100_000)]
    yaw_deg: Annotated[list[Annotated[float, Field(ge=-60, le=60)]], Field(min_length=1, max_length=100)]
    pitch_deg: Annotated[float, Field(ge=-30, le=30)] = 0
    tolerance_deg: Annotated[float, Field(ge=1e-3, le=180)]


@settings
class Generate:
    """How images are drawn of the packed identities; `weights` is the folder below data that the backend reads."""

    backend: Literal["embedded", "arc2face", "vec2face"]
    weights: DataPath
    depths: Annotated[list[Depth], Field(max_length=100)]
    perturbation: Literal["none", "beta", "sigma"]
    beta: Annotated[float, Field(ge=0, le=10)]
    sigma: Annotated[list[Noise], Field(max_length=100)]
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
            raise InputError(None, key="depths", value=[], allowed="at least one entry of identities and images")
        if self.sigma and not math.isclose(sum(noise.share for noise in self.sigma), 1, abs_tol=1e-9):
            raise InputError(None, f"shares sum to {sum(n.share for n in self.sigma):g}", key="sigma", allowed="1")
        if self.perturbation == "sigma" and not self.sigma:
            raise InputError(
                None, "perturbation is sigma", key="sigma", value=[], allowed="at least one sigma and share"
            )

        drawn = sum(depth.identities * depth.images for depth in self.depths)  # more than there are where they overlap
        for key, images in (("depths", drawn), ("mixup", sum(self.mixup.widths()) * self.mixup.images)):
            if images > MAX_IMAGES:
                raise InputError(None, f"comes to {images} images", key=key, allowed=f"at most {MAX_IMAGES}")

    def needs_gradients(self) -> bool:
        """Return whether AttrOP moves anything."""
        return self.attributes.centres or self.poses.identities > 0

    def images_of(self, identity: int) -> int:
        """Return how many images identity number `identity` has; 0 beyond the last."""
        return max((depth.images for depth in self.depths if identity < depth.identities), default=0)

    def identities(self) -> int:
        """Return how many identities have images."""
        return max(depth.identities for depth in self.depths)
