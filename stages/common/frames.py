"""The frame of a face: how much of ArcFace's template of 112 px it shows.

Rendered faces show 136 px of it, photographs `world.photo_frame_px`; their shards state the number. Published networks
were trained on the template itself, ours on 136 px. So each network cuts its own frame out of the faces.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stages.common import images

if TYPE_CHECKING:  # networks in ONNX run without torch
    from torch import Tensor


@dataclass(frozen=True)
class Frame:
    """What a network sees: `height` x `width` pixels that show `frame_px` of the template from top to bottom.

    An input that is narrower than high shows less of the template on the left and right.
    """

    height: int
    width: int
    frame_px: float

    def of(self, faces: np.ndarray, frame_px: float | None = None) -> np.ndarray:
        """Return faces uint8 (b, h, w, 3) as (b, height, width, 3): their middle, or all with the edge repeated.

        frame_px: what the faces show of the template; None: what this network wants. Faces that are not square count
        as stretched squares, unless they have the network's own proportions.
        """
        if frame_px is None and faces.shape[1] * self.width == faces.shape[2] * self.height:
            return images.resize(faces, (self.height, self.width))
        side = self._side(frame_px)
        top, left = self._corner(side)
        whole = images.resize(faces, (side, side))
        if (pad := max(0, -top, -left)) > 0:
            whole = np.pad(whole, ((0, 0), (pad, pad + 1), (pad, pad + 1), (0, 0)), "edge")
        return whole[:, top + pad : top + pad + self.height, left + pad : left + pad + self.width]

    def of_tensor(self, x: Tensor, frame_px: float | None = None) -> Tensor:
        """Do the same as `of` for faces (b, 3, h, w) of any range, with gradients."""
        from torch.nn import functional

        side = self._side(frame_px)
        top, left = self._corner(side)
        if x.shape[2:] != (side, side):
            shrinks = x.shape[2] > side
            x = functional.interpolate(x, size=side, mode="area" if shrinks else "bilinear")
        if (pad := max(0, -top, -left)) > 0:
            x = functional.pad(x, (pad, pad + 1, pad, pad + 1), mode="replicate")
        return x[:, :, top + pad : top + pad + self.height, left + pad : left + pad + self.width]

    def _side(self, frame_px: float | None) -> int:
        """Return the side of the whole face at the scale of the input."""
        return round(self.height * (frame_px or self.frame_px) / self.frame_px)

    def _corner(self, side: int) -> tuple[int, int]:
        """Return where the input begins in the whole face; rounds as `photographs.square` does, whose inverse it is."""
        return -round((self.height - side) / 2), -round((self.width - side) / 2)
