"""The `benchmarks` section of params.yaml."""

from typing import Annotated

from pydantic import Field

from stages.common.errors import InputError
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
    """The embedded protocols, of `identities` people and 6,000 pairs each, and how the user's own sets are cropped.

    `templates` people, ten images each, make the embedded benchmark of templates.
    Those named in `full_size` are aligned with `world.detector`, those in `crops` are cut; others are aligned already.
    """

    identities: Annotated[int, Field(ge=200, le=100_000, multiple_of=10)]
    templates: Annotated[int, Field(ge=8, le=100_000, multiple_of=8)]
    full_size: list[Name]
    crops: dict[Name, Crop]
    seed: Seed

    def __post_init__(self) -> None:
        """Refuse two crops of one set."""
        if both := [name for name in self.full_size if name in self.crops]:
            raise InputError(None, "in full_size, too", key=f"crops.{both[0]}", allowed="one of the two")
