"""The `baselines` section of params.yaml."""

from typing import Annotated

from pydantic import Field

from stages.common.errors import InputError
from stages.common.params import Name, Network, Seed, settings


@settings
class Untrained:
    """The recogniser's network with random weights, once per seed."""

    seeds: Annotated[list[Seed], Field(min_length=1, max_length=100)]

    def __post_init__(self) -> None:
        """Refuse a seed twice."""
        if len(set(self.seeds)) < len(self.seeds):
            raise InputError(None, "a seed twice", key="seeds", value=self.seeds, allowed="different seeds")


@settings
class Baselines:
    """What trained recognisers are compared with on the user's own sets."""

    side_px: Annotated[int, Field(ge=1, le=1024)]
    untrained: Untrained
    networks: dict[Name, Network]
