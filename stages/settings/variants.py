"""The entries of the `variants` section of params.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from stages.common.params import MAX_IMAGES, Count, Source, settings


@settings
class Variants:
    """One training set: `width` identities x `depth` images of `source`, the first ones.

    `fewer` says what becomes of an identity with fewer than `depth` images (`mix_depth` of `mix`): the variant is
    refused, or the identity skipped and a later one taken.
    `source` and `mix` name folders of `data/`: `audit` (the generator's audited images) or `sets/NAME`. With
    `mix_width` above 0, that many identities x `mix_depth` images of `mix` join by domain mixup; `mix` is a dependency
    of the stage and equals `source` where nothing is mixed in.
    """

    source: Source
    width: Count
    depth: Count
    identity_mixup: bool
    augment: bool
    mix: Source
    mix_width: Annotated[int, Field(ge=0, le=10_000_000)]
    mix_depth: Annotated[int, Field(ge=0, le=10_000_000)]
    fewer: Literal["refuse", "skip"] = "refuse"

    def __post_init__(self) -> None:
        """Refuse more rows than a manifest can number."""
        images = self.width * self.depth + self.mix_width * self.mix_depth
        if images > MAX_IMAGES:
            raise ValueError(f"width x depth come to {images} images; allowed: at most {MAX_IMAGES}")
