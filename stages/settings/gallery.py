"""The `gallery` section of params.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from stages.common.params import Count, Seed, Text, settings


@settings
class Denoising:
    """How `diffusers` denoises; `batch` pictures at once, always so many, whatever is asked for."""

    steps: Annotated[int, Field(ge=1, le=1000)]
    batch: Annotated[int, Field(ge=1, le=1024)]


@settings
class Gallery:
    """The initial faces: `embedded` renders one studio portrait of each of `identities` people.

    `path` is what the backend reads, a dependency of the stage (for `embedded` any file that never changes). `folder`
    takes its images as they are when they are `aligned` as for ArcFace, else aligns them with `world.detector`.
    """

    backend: Literal["embedded", "folder", "diffusers"]
    path: Text
    aligned: bool
    identities: Count
    diffusion: Denoising
    seed: Seed
