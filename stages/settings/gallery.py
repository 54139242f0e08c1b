"""The `gallery` section of params.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from stages.common.params import Count, PathOrNone, Seed, check_path, settings


@settings
class Denoising:
    """How `diffusers` denoises; `batch` pictures at once, always so many, whatever is asked for."""

    steps: Annotated[int, Field(ge=1, le=1000)]
    batch: Annotated[int, Field(ge=1, le=1024)]


@settings
class Gallery:
    """The initial faces: `embedded` renders one studio portrait of each of `identities` people.

    `path`, below data, is what the backend reads; `embedded` reads `none`. `folder` takes its images as they are when
    they are `aligned` as for ArcFace, else aligns them with `world.detector`.
    """

    backend: Literal["embedded", "folder", "diffusers"]
    path: PathOrNone
    aligned: bool
    identities: Count
    diffusion: Denoising
    seed: Seed

    def __post_init__(self) -> None:
        """Refuse a path without need, and the need of one without a path."""
        check_path(self.backend, self.path)
