"""The `embed` section of params.yaml."""

from typing import Literal

from stages.common.params import settings


@settings
class Embed:
    """Which recogniser turns the gallery's faces into embeddings."""

    recogniser: Literal["embedded"]
