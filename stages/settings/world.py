"""The `world` section of params.yaml."""

from typing import Annotated

from pydantic import Field

from stages.common.params import PathOrNone, SizePx, Spread, settings


@settings
class World:
    """How faces are photographed by `gallery`, `generate`, `sets` and `benchmarks`.

    `photo_frame_px` is what the square of a photograph shows, in pixels of ArcFace's 112 px template; each network
    cuts its own frame out of it.
    `detector`, an .onnx file below data, finds the faces of pictures that have to be aligned; `none` finds none.
    """

    size_px: SizePx
    photo_frame_px: Annotated[int, Field(ge=64, le=224)]
    detector: PathOrNone
    studio_spread: Spread
    wild_spread: Spread
