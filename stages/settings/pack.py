"""The `pack` section of params.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from stages.common.params import NonNegative, Seed, settings


@settings
class Pack:
    """How `identities` directions are placed on the embedding sphere."""

    method: Literal["hyperface", "code", "gaussian", "gallery", "random"]
    identities: Annotated[int, Field(ge=2, le=10_000_000)]
    alpha: NonNegative
    separation: Literal["closest", "mean"]
    start: Literal["selected", "random"]
    iterations: Annotated[int, Field(ge=1, le=1_000_000)]
    tolerance: NonNegative
    max_cosine: Annotated[float, Field(gt=-1, le=1)]
    crowded_cosine: Annotated[float, Field(ge=-1, le=1)]
    seed: Seed
