"""The entries of the `variants` section of params.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from stages.common.params import Count, settings


@settings
class Variants:
    """One training set: `width` identities x `depth` images of `source`, the first ones.

    `fewer` says what becomes of an identity with fewer than `depth` images (`mix_depth` of `mix`): the variant is
    refused, or the identity skipped and a later one taken.
    `source` and `mix` name folders of `data/`: `audit` (the generator's audited images) or `sets/NAME`. With
    `mix_width` above 0, that many identities x `mix_depth` images of `mix` join by domain mixup; `mix` is a dependency
    of the stage and equals `source` where nothing is mixed in.
    """

    source: Annotated[str, Field(pattern=r"^(audit|sets/[A-Za-z0-9_-]+)$")]
    width: Count
    depth: Count
    identity_mixup: bool
    augment: bool
    mix: Annotated[str, Field(pattern=r"^(audit|sets/[A-Za-z0-9_-]+)$")]
    mix_width: Annotated[int, Field(ge=0)]
    mix_depth: Annotated[int, Field(ge=0)]
    fewer: Literal["refuse", "skip"] = "refuse"
