"""The `pretrain` section of params.yaml."""

from typing import Annotated

from pydantic import Field

from stages.common.params import LearningRate, Seed, Spread, settings

People = Annotated[int, Field(ge=1, le=1_000_000)]
Epochs = Annotated[int, Field(ge=1, le=10_000)]


@settings
class Pretrain:
    """How the embedded recogniser, the judge, the inverter and the pose network are trained."""

    identities: People
    images: Annotated[int, Field(ge=1, le=1000)]
    epochs: Epochs
    judge_epochs: Epochs
    unseen_identities: Annotated[int, Field(ge=2, le=100_000)]
    inverter_identities: People
    inverter_epochs: Epochs
    pose_faces: Annotated[int, Field(ge=64, le=1_000_000)]
    pose_epochs: Epochs
    wild_spread: Spread
    studio_spread: Spread
    learning_rate: LearningRate
    seed: Seed
