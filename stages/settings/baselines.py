"""The `baselines` section of params.yaml."""

from typing import Annotated

from pydantic import Field

from stages.common.params import Count, Name, Network, Seed, settings


@settings
class Baselines:
    """What trained recognisers are compared with on the user's own sets."""

    side_px: Count
    seeds: Annotated[list[Seed], Field(min_length=1)]
    networks: dict[Name, Network]
