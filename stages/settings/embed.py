"""The `embed` section of params.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from stages.common.params import settings


@settings
class Embed:
    """Which recogniser turns the gallery's faces into embeddings: its backend, weights, and card.

    The card is a JSON file that says how the network wants its faces: colour order, mean, standard deviation.
    """

    recogniser: Literal["embedded"]
    weights: Annotated[str, Field(min_length=1)]
    card: Annotated[str, Field(min_length=1)]
