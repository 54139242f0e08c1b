"""The `pack` section of params.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from stages.common.params import Count, NonNegative, Seed, settings


@settings
class Pack:
    """How `identities` directions are placed on the embedding sphere."""

    method: Literal["hyperface", "code", "gaussian", "gallery", "random"]
    identities: Annotated[int, Field(ge=2, le=10_000_000)]
    alpha: NonNegative
    separation: Literal["closest", "mean"]
    start: Literal["selected", "random"]
    iterations: Count
    tolerance: NonNegative
    max_cosine: Annotated[float, Field(gt=-1, le=1)]
    crowded_cosine: Annotated[float, Field(ge=-1, le=1)]
    seed: Seed
