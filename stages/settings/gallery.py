"""The `gallery` section of params.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from stages.common.params import Count, Seed, settings


@settings
class Gallery:
    """The initial faces: `embedded` renders one studio portrait of each of `identities` people.

    `path` is what the backend reads, a dependency of the stage (for `embedded` any file that never changes).
    """

    backend: Literal["embedded"]
    path: Annotated[str, Field(min_length=1)]
    identities: Count
    seed: Seed
