"""The `pretrain` section of params.yaml."""

from typing import Annotated

from pydantic import Field

from stages.common.params import Count, Positive, Seed, Spread, settings


@settings
class Pretrain:
    """How the embedded recogniser, the judge, the inverter and the pose network are trained."""

    identities: Count
    images: Count
    epochs: Count
    judge_epochs: Count
    unseen_identities: Annotated[int, Field(ge=2)]
    inverter_identities: Count
    inverter_epochs: Count
    pose_faces: Annotated[int, Field(ge=64)]
    pose_epochs: Count
    wild_spread: Spread
    studio_spread: Spread
    learning_rate: Positive
    seed: Seed
