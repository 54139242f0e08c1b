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
    `sets/NAME`, `mix_width` identities x `mix_depth` images of it join by domain mixup; else it is `none`.
    """

    source: Source
    width: Count
    depth: Count
    mix: Mix
    mix_width: Few = 0
    mix_depth: Few = 0
    identity_mixup: bool = False
    augment: bool = False
    fewer: Literal["refuse", "skip"] = "refuse"

    def __post_init__(self) -> None:
        """Refuse a mix by halves, and more rows than a manifest can number."""
        if len({self.mix == NONE, self.mix_width == 0, self.mix_depth == 0}) > 1:
            problem = f"mix_width is {self.mix_width}, mix_depth {self.mix_depth}"
            raise InputError(None, problem, key="mix", value=self.mix, allowed="none, or a set with both of these")
        images = self.width * self.depth + self.mix_width * self.mix_depth
        if images > MAX_IMAGES:
            raise InputError(None, f"width x depth come to {images} images", allowed=f"at most {MAX_IMAGES}")
