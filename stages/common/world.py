"""The section `world` of params.yaml, which several stages share."""

from typing import Annotated

from pydantic import Field

from stages.common.params import PathOrNone, SizePx, Spreads, settings


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
    spread: Spreads
