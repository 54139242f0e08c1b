"""The `pretrain` section of params.yaml."""

from typing import Annotated

from pydantic import Field

from stages.common.params import LearningRate, Seed, Spreads, settings

People = Annotated[int, Field(ge=1, le=1_000_000)]
Epochs = Annotated[int, Field(ge=1, le=10_000)]


@settings
class Populations:
    """How many people each network learns from, each recogniser from its own, and how many measure these two."""

    recognisers: People
    unseen: Annotated[int, Field(ge=2, le=100_000)]
    inverter: People
    pose: Annotated[int, Field(ge=64, le=1_000_000)]


@settings
class Passes:
    """How often each network sees what it learns from."""

    recogniser: Epochs
    judge: Epochs
    inverter: Epochs
    pose: Epochs


@settings
class Pretrain:
    """How the embedded recogniser, the judge, the inverter and the pose network are trained.

    The recognisers see `images` of a person, the others one.
    """

    people: Populations
    images: Annotated[int, Field(ge=1, le=1000)]
    epochs: Passes
    spread: Spreads
    learning_rate: LearningRate
    seed: Seed
