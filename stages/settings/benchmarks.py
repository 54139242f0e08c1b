"""The `benchmarks` section of params.yaml."""

from typing import Annotated

from pydantic import Field

from stages.common.params import Name, Seed, settings


@settings
class Crop:
    """A square of the photograph, `side_px` wide about (`x_px`, `y_px`); the edge is replicated beyond it."""

    side_px: Annotated[float, Field(ge=1)]
    x_px: float
    y_px: float


@settings
class Benchmarks:
    """The embedded protocols, of `identities` people and 6,000 pairs each, and the crops of the user's own sets."""

    identities: Annotated[int, Field(ge=200, multiple_of=10)]
    crops: dict[Name, Crop]
    seed: Seed
