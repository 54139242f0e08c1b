"""The entries of the `sets` section of params.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from stages.common.params import Count, Seed, settings


@settings
class Sets:
    """A training set that the generator did not make.

    `embedded` renders the `wild` domain; `folder` reads one folder of images per person at `path`, which is a
    dependency of the stage (for `embedded` any file that never changes). At most `identities` x `images` are taken.
    """

    backend: Literal["embedded", "folder"]
    path: Annotated[str, Field(min_length=1)]
    identities: Count
    images: Count
    seed: Seed
