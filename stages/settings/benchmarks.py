"""The `benchmarks` section of params.yaml."""

from typing import Annotated

from pydantic import Field

from stages.common.params import Name, Seed, settings

Pixel = Annotated[float, Field(ge=-100_000, le=100_000)]


@settings
class Crop:
    """A square of the photograph, `side_px` wide about (`x_px`, `y_px`); the edge is replicated beyond it."""

    side_px: Annotated[float, Field(ge=1, le=100_000)]
    x_px: Pixel
    y_px: Pixel


@settings
class Benchmarks:
    """The embedded protocols, of `identities` people and 6,000 pairs each, and the crops of the user's own sets."""

    identities: Annotated[int, Field(ge=200, le=100_000, multiple_of=10)]
    crops: dict[Name, Crop]
    seed: Seed
