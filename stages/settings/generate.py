"""The `generate` section of params.yaml."""

import math
from operator import mul
from typing import Annotated, Any, Literal

from pydantic import Field

from stages.common.errors import InputError
from stages.common.params import MAX_IMAGES, Count, DataPath, Fraction, Network, NonNegative, Seed, settings

Width = Annotated[int, Field(ge=0, le=10_000_000)]
Several = Field(min_length=1, max_length=100)
Deviation = Annotated[float, Field(ge=0, le=10)]


@settings
class Depths:
    """The first `identities` have at least `images` images each, entry by entry."""

    identities: Annotated[list[Count], Several]
    images: Annotated[list[Count], Several]

    def __post_init__(self) -> None:
        """Refuse an entry by halves."""
        _check_lengths("images", self.images, "identities", self.identities)


@settings
class Noise:
    """Standard deviations of a coordinate: `beta` on the unit row; `sigma`, in those of a row at native norm.

    A `share` of each identity's images is perturbed with each `sigma`.
    """

    beta: Deviation
    sigma: Annotated[list[Deviation], Several]
    share: Annotated[list[Fraction], Several]

    def __post_init__(self) -> None:
        """Refuse images without a sigma."""
        _check_lengths("share", self.share, "sigma", self.sigma)
        if not math.isclose(sum(self.share), 1, abs_tol=1e-9):
            raise InputError(None, f"comes to {sum(self.share):g}", key="share", value=self.share, allowed="a sum of 1")


def _check_lengths(key: str, values: list[Any], other: str, others: list[Any]) -> None:
    if len(values) != len(others):
        raise InputError(None, key=key, value=values, allowed=f"as many as {other}, {len(others)}")


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
        widths = self.identities if isinstance(self.identities, list) else [self.identities]
        return [width for width in widths if width]


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

    A step is `lr` standard deviations of the condition's coordinates. The face has at least `min_cosine` to its row, by
    the network of `embed`, and features of at least `min_norm` by `quality` (0: any). `centres` moves the identities
    before their images are drawn; those that fail are left out.
    """

    centres: bool
    steps: Annotated[int, Field(ge=1, le=1000)]
    lr: Annotated[float, Field(ge=1e-9, le=10)]
    min_cosine: Annotated[float, Field(ge=-1, le=1)]
    min_norm: NonNegative


@settings
class Poses:
    """The first `identities` identities (0: none) are drawn once at each yaw by AttrOP, all at the same pitch."""

    identities: Annotated[int, Field(ge=0, le=100_000)]
    yaw_deg: Annotated[list[Annotated[float, Field(ge=-60, le=60)]], Field(min_length=1, max_length=100)]
    pitch_deg: Annotated[float, Field(ge=-30, le=30)] = 0
    tolerance_deg: Annotated[float, Field(ge=1e-3, le=180)]


@settings
class Generate:
    """How images are drawn of the packed identities.

    `weights` is the folder below data that the backend reads, `quality` the network whose feature norm says how good a
    picture is.
    """

    backend: Literal["embedded", "arc2face", "vec2face"]
    weights: DataPath
    depths: Depths
    perturbation: Literal["none", "beta", "sigma"]
    noise: Noise
    mixup: Mixup
    refine_steps: Annotated[int, Field(ge=0, le=1000)]
    diffusion: Diffusion
    control: Control
    attributes: Attributes
    quality: Network
    poses: Poses
    seed: Seed

    def __post_init__(self) -> None:
        """Refuse what one key alone cannot show."""
        drawn = sum(map(mul, self.depths.identities, self.depths.images))  # more than there are where they overlap
        for key, images in (("depths", drawn), ("mixup", sum(self.mixup.widths()) * self.mixup.images)):
            if images > MAX_IMAGES:
                raise InputError(None, f"comes to {images} images", key=key, allowed=f"at most {MAX_IMAGES}")

    def needs_gradients(self) -> bool:
        """Return whether AttrOP moves anything."""
        return self.attributes.centres or self.poses.identities > 0

    def images_of(self, identity: int) -> int:
        """Return how many images identity number `identity` has; 0 beyond the last."""
        entries = zip(self.depths.identities, self.depths.images, strict=True)
        return max((images for identities, images in entries if identity < identities), default=0)

    def identities(self) -> int:
        """Return how many identities have images."""
        return max(self.depths.identities)
