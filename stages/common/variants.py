"""The entries of the `variants` section of params.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from stages.common.errors import InputError
from stages.common.params import MAX_IMAGES, NAME, NONE, Count, settings

Source = Annotated[str, Field(pattern=f"^(audit|sets/{NAME})$")]
Mix = Annotated[str, Field(pattern=f"^({NONE}|sets/{NAME})$")]
Few = Annotated[int, Field(ge=0, le=10_000_000)]


@settings
class Variants:
    """One training set: `width` identities x `depth` images of `source`, the first ones.

    `fewer` says what becomes of an identity with fewer than `depth` images (`mix_depth` of `mix`): the variant is
    refused, or the identity skipped and a later one taken.
    `source` is a folder below data: `audit` (the generator's audited images) or `sets/NAME`. With `mix`, another
    `sets/NAME`, `mixed` identities of it join by domain mixup, with `mix_depth` images each (0: as `depth`); else it is
    `none`. With `mixup`, every image mixes two identities.
    """

    source: Source
    width: Count
    depth: Count
    mix: Mix
    mixed: Few = 0
    mix_depth: Few = 0
    mixup: bool = False
    augment: bool = False
    fewer: Literal["refuse", "skip"] = "refuse"

    def __post_init__(self) -> None:
        """Refuse a mix by halves, and more rows than a manifest can number."""
        if (self.mix == NONE) != (self.mixed == 0) or self.mix_depth and not self.mixed:
            problem = f"mixed is {self.mixed}, mix_depth {self.mix_depth}"
            raise InputError(
                None, problem, key="mix", value=self.mix, allowed="none without these, or a set with mixed"
            )
        if self.images > MAX_IMAGES:
            raise InputError(None, f"width x depth come to {self.images} images", allowed=f"at most {MAX_IMAGES}")

    @property
    def depth_of_mix(self) -> int:
        """Return how many images of each mixed identity join."""
        return self.mix_depth or self.depth

    @property
    def images(self) -> int:
        """Return how many images there are, those of the mix included."""
        return self.width * self.depth + self.mixed * self.depth_of_mix

    def seen(self, samples: int, epochs: float) -> int:
        """Return how many faces a training sees: so many passes over the images or, where there are none, `samples`."""
        return round(epochs * self.images) if epochs else samples
