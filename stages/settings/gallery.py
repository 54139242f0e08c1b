"""The `gallery` section of params.yaml."""

from typing import Literal

from stages.common.params import Count, Seed, settings


@settings
class Gallery:
    """The initial faces: `embedded` renders one studio portrait of each of `identities` people."""

    backend: Literal["embedded"]
    identities: Count
    seed: Seed
