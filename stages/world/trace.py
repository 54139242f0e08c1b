"""The camera: perspective, the exact five-point alignment, and the rays' first hit on the head.

A point of the head passes through five spaces on its way into the image:

- head: x to the image's right when frontal, y up, z out of the face, in head units of 0.1 m.
- camera: the same origin and units, the head turned by `View.rotation`; z points to the camera, at z = `View.distance`.
- plane: z = 0 of the camera's space, onto which `_project` draws in perspective: x right, y down, head units.
- template: ArcFace's square of 112 pixels, x right, y down; whole numbers are middles of pixels. `View.similarity`,
  fitted to the five landmarks by `view_of`, maps the plane to it.
- image: the frame of 136 template pixels around the template's middle, shown with size_px pixels a side.

`landmarks_head` lifts the landmarks from the chart (`equal_area.py`) to the surface, and `to_image` maps points of the
head to the image. `rays` goes back, from every pixel to its ray in the head's space, and `first_hit` follows the rays
to the surface.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from stages.world import equal_area
from stages.world.geometry import Layout, Person

# The ArcFace template of 112 x 112 px: eyes, nose tip, mouth corners, (x right, y down).
TEMPLATE_PX = ((38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366),
               (41.5493, 92.3655), (70.7299, 92.2041))  # fmt: skip
TEMPLATE_SIZE = 112
FRAME = 136  # side of the rendered square in template pixels: hair, chin and neck are in the picture
MARGIN = (FRAME - TEMPLATE_SIZE) / 2  # of the frame around the template, on every side
_HEAD_UNIT = 55.0  # template pixels that a head unit takes, about
_NEAR, _FAR, _STEPS = 1.36, -0.9, 15  # marched depths along the view axis, head units
_SCAN_PX = 64  # up to this size two pixels are scanned at once along an axis, then four


@dataclass(frozen=True)
class View:
    """Hold the camera of each image: the head's rotation, its distance, and the similarity from plane to template.

    The similarity is template = [[a, -b], [b, a]] plane + t, its inverse plane = [[a, b], [-b, a]] (template - t) /
    (a^2 + b^2).
    """

    rotation: Tensor  # (b, 3, 3), head to camera; its rows are the camera's axes seen from the head
    distance: Tensor  # (b,) from the camera to the head's origin, head units
    similarity: Tensor  # (b, 4): a, b (template pixels per head unit), tx, ty (template pixels)


def rotation_of(p: Person) -> Tensor:
    """Return the head's rotation (b, 3, 3): yaw to the image's right, then pitch up, then roll."""
    yaw, pitch, roll = (p.now(n) * (math.pi / 180) for n in ("yaw_deg", "pitch_deg", "roll_deg"))
    zeros, ones = torch.zeros_like(yaw), torch.ones_like(yaw)
    cy, sy, cp, sp, cr, sr = yaw.cos(), yaw.sin(), pitch.cos(), pitch.sin(), roll.cos(), roll.sin()
    about_y = torch.stack([cy, zeros, sy, zeros, ones, zeros, -sy, zeros, cy], 1).view(-1, 3, 3)
    about_x = torch.stack([ones, zeros, zeros, zeros, cp, sp, zeros, -sp, cp], 1).view(-1, 3, 3)
    about_z = torch.stack([cr, -sr, zeros, sr, cr, zeros, zeros, zeros, ones], 1).view(-1, 3, 3)
    return about_z @ about_x @ about_y


def landmarks_head(radius: Tensor, layout: Layout) -> Tensor:
    """Return the five landmarks (b, 5, 3) on the surface, in the order of the template."""
    zero = torch.zeros_like(layout.eye_x)
    x = [-layout.eye_x, layout.eye_x, layout.nose_x + zero, layout.mouth_x - layout.mouth_half,
         layout.mouth_x + layout.mouth_half]  # fmt: skip
    y = [layout.eye_y, layout.eye_y, layout.nose_y, layout.mouth_y, layout.mouth_y]
    s = torch.stack([torch.stack(x, 1), torch.stack(y, 1)], -1)  # (b, 5, 2)
    r = equal_area.lookup(radius[:, None], (s / equal_area.CHART_SCALE).transpose(1, 2)[..., None])[:, 0]  # (b, 5, 1)
    return r * equal_area.direction(s)


def _project(points: Tensor, rotation: Tensor, distance: Tensor) -> Tensor:
    """Project head points (b, n, 3) to the plane through the head's origin, (b, n, 2), y down."""
    x, y, z = (points @ rotation.transpose(1, 2)).unbind(-1)  # in the camera's space
    shrink = 1.0 - z / distance[:, None]
    return torch.stack([x, -y], -1) / shrink[..., None]


def _fit(source: Tensor, target: Tensor) -> Tensor:
    """Return the least-squares similarity (b, 4) = (a, b, tx, ty) from source to target points.

    target ~ [[a, -b], [b, a]] source + t; both (b, 5, 2). No reflections.
    """
    source_mean, target_mean = source.mean(1, keepdim=True), target.mean(1, keepdim=True)
    q, r = source - source_mean, target - target_mean
    power = q.square().sum((1, 2))
    a = (q * r).sum((1, 2)) / power
    (qx, qy), (rx, ry) = q.unbind(-1), r.unbind(-1)
    b = (qx * ry - qy * rx).sum(1) / power
    sx, sy = source_mean[:, 0].unbind(-1)
    shift = target_mean[:, 0] - torch.stack([a * sx - b * sy, b * sx + a * sy], 1)
    return torch.cat([torch.stack([a, b], 1), shift], 1)


def _jittered(p: Person) -> Tensor:
    """Return the template (b, 5, 2) moved by the style's shift, tilt and zoom about its middle.

    They stand for a face detector's error and are 0 in the neutral style.
    """
    template = torch.tensor(TEMPLATE_PX) - TEMPLATE_SIZE / 2
    tilt, zoom = p.now("tilt_deg") * (math.pi / 180), torch.exp(p.now("zoom_log"))
    c, s = (zoom * tilt.cos())[:, None], (zoom * tilt.sin())[:, None]
    right, down = template.unbind(1)
    x = c * right - s * down + p.now("shift_x_px")[:, None]
    y = s * right + c * down + p.now("shift_y_px")[:, None]
    return torch.stack([x, y], -1) + TEMPLATE_SIZE / 2


def view_of(p: Person, landmarks: Tensor) -> View:
    """Return the camera that puts the projected landmarks (b, 5, 3) on the template."""
    rotation = rotation_of(p)
    distance = 14.0 * torch.exp(p.now("distance_log"))  # 1.4 m when neutral
    return View(rotation, distance, _fit(_project(landmarks, rotation, distance), _jittered(p)))


def to_image(points: Tensor, view: View, size_px: int) -> Tensor:
    """Return where head points (b, n, 3) appear in an image of the frame, (b, n, 2), x right, y down, in pixels."""
    x, y = _project(points, view.rotation, view.distance).unbind(-1)
    a, b, tx, ty = (v[:, None] for v in view.similarity.unbind(1))
    template = torch.stack([a * x - b * y + tx, b * x + a * y + ty], -1)
    return (template + 0.5 + MARGIN) * (size_px / FRAME) - 0.5


def pixel_width(size_px: int) -> float:
    """Return about how wide a pixel is on the head, head units."""
    return FRAME / size_px / _HEAD_UNIT


def rays(view: View, size_px: int) -> tuple[Tensor, Tensor]:
    """Return origin and direction (b, 3, size, size) of the pixels' rays in the head's space.

    A ray's origin lies on the plane and its parameter is the depth z in the camera's space, so it runs from _NEAR down
    to _FAR. Both are affine in the pixel's row and column, and so they are one product of matrices each.
    """
    axis = ((torch.arange(size_px) + 0.5) / size_px - 0.5) * 2.0
    row, col = torch.meshgrid(axis, axis, indexing="ij")
    pixels = torch.stack([col, row, torch.ones_like(row)]).flatten(1)  # (3, h * w)
    a, b, tx, ty = (v[:, None] for v in view.similarity.unbind(1))
    # The similarity's inverse; the camera's y points up, the plane's down.
    camera_x, camera_y, _ = (view.rotation.transpose(1, 2) / (a * a + b * b)[..., None]).unbind(-1)
    right, down = a * camera_x + b * camera_y, b * camera_x - a * camera_y  # (b, 3) per template pixel
    middle = (TEMPLATE_SIZE - 1) / 2
    centre = (middle - tx) * right + (middle - ty) * down
    across = torch.stack([right * (FRAME / 2), down * (FRAME / 2), centre], -1)  # (b, 3, 3)
    _, _, camera_z = view.rotation.unbind(1)
    along = torch.stack([torch.zeros_like(camera_z), torch.zeros_like(camera_z), camera_z], -1)
    along = along - across / view.distance[:, None, None]
    shape = (-1, 3, size_px, size_px)
    return (across.flatten(0, 1) @ pixels).view(shape), (along.flatten(0, 1) @ pixels).view(shape)


def _above(height: Tensor) -> Tensor:
    """Return 1 where height > 0, else 0, as float: far faster than booleans and `torch.where`."""
    return (height * 1e30).clamp(0.0, 1.0)


class _Bracket:
    """Two depths of every ray with an entry into the head between them, and the heights there."""

    def __init__(self, rays: equal_area.Rays, *, near: Tensor, far: Tensor, above: Tensor, below: Tensor) -> None:
        """Keep depths near and far (b, h, w), and heights above 0 at the near and below 0 at the far one."""
        self._rays, self._near, self._far = rays, near, far
        self._above, self._below = above, below

    def depth(self, margin: float = 0.0) -> Tensor:
        """Return the secant's zero (b, h, w), kept off the ends by a share of the bracket."""
        share = self._above / (self._above - self._below).clamp(min=1e-6)
        return torch.lerp(self._near, self._far, share.clamp(margin, 1.0 - margin))

    def slope(self) -> Tensor:
        """Return how fast the height rises towards the camera, bounded away from 0 for grazing rays."""
        return ((self._above - self._below) / (self._near - self._far).clamp(min=1e-6)).clamp(min=0.15)

    def refine(self, margin: float) -> None:
        """Narrow the bracket once, in place, at `depth(margin)`."""
        depth = self.depth(margin)
        height = self._rays.height(depth)
        outside = _above(height)
        inside = 1.0 - outside
        self._near, self._above = torch.lerp(self._near, depth, outside), torch.lerp(self._above, height, outside)
        self._far, self._below = torch.lerp(self._far, depth, inside), torch.lerp(self._below, height, inside)


def _pick(maps: Tensor, index: Tensor) -> Tensor:
    """Return maps (b, k, h, w) at the index (b, h, w) of each pixel, (b, h, w)."""
    return maps.gather(1, index.clamp(0, maps.shape[1] - 1).long()[:, None])[:, 0]


def _scan(rays: equal_area.Rays) -> tuple[Tensor, Tensor, Tensor]:
    """March rays from _NEAR to _FAR in equal steps.

    Returns the depth of the first entry, 1 where there is none and else 0, and the depth of the lowest passage.
    """
    width = (_NEAR - _FAR) / _STEPS
    least = rays.level(1e3)
    entry, bottom = torch.zeros_like(least), torch.zeros_like(least)  # steps to the first entry and the lowest height
    steps = []
    for i in range(_STEPS + 1):
        height = rays.height(rays.level(_NEAR - i * width))
        bottom = torch.maximum(bottom, ((least - height) * 1e30).clamp(0.0, i))
        least = torch.minimum(least, height)
        entry = entry + _above(least)
        steps.append(height)
    heights = torch.stack(steps, 1)
    missed = (entry - _STEPS).clamp(min=0.0)
    before, after = _pick(heights, bottom - 1.0), _pick(heights, bottom + 1.0)
    bend = (before + after - 2.0 * least).clamp(min=1e-4)
    lowest = _NEAR - width * (bottom + (0.5 * (before - after) / bend).clamp(-1.0, 1.0))
    entry = entry.clamp(1.0, _STEPS)
    near = _NEAR + width - width * entry
    bracket = _Bracket(rays, near=near, far=near - width,
                       above=_pick(heights, entry - 1.0), below=_pick(heights, entry))  # fmt: skip
    bracket.refine(0.1)
    return bracket.depth(), missed, lowest


def _highest(maps: Tensor) -> Tensor:
    """Return the largest value among each pixel's 3 x 3 neighbours, of maps (b, h, w)."""
    rows = F.pad(maps, (0, 0, 1, 1), mode="replicate")
    tall = torch.maximum(torch.maximum(rows[:, :-2], rows[:, 2:]), maps)
    columns = F.pad(tall, (1, 1, 0, 0), mode="replicate")
    return torch.maximum(torch.maximum(columns[:, :, :-2], columns[:, :, 2:]), tall)


def _repeat(maps: Tensor, cell: int) -> Tensor:
    """Repeat every value of maps (b, h, w) over a square cell of pixels; `F.interpolate` is slower."""
    wide = maps[:, :, None, :, None].expand(-1, -1, cell, -1, cell)
    return wide.reshape(len(maps), cell * maps.shape[1], cell * maps.shape[2])


def _march(rays: equal_area.Rays, size_px: int) -> tuple[_Bracket, Tensor]:
    """Bracket the first hits: by a scan of coarse cells, then within their neighbours' depths.

    Also returns the depth (b, h, w) of every ray's lowest passage; a ray that enters does so before it.
    """
    cell = 2 if size_px <= _SCAN_PX else 4
    depth, missed, lowest = _scan(rays.coarse(cell))
    first, last = _highest(depth - 9.0 * missed), -_highest(-depth - 9.0 * missed)
    reach = 0.07 + 9.0 * _highest(missed)  # beside a miss the surface falls away fast
    start = torch.lerp(first, lowest, _above(-first - 5.0)) + 0.07
    end = torch.maximum(last - reach, lowest)
    guess = F.interpolate(torch.lerp(depth, lowest, missed)[:, None], scale_factor=cell, mode="bilinear")[:, 0]
    start, end, lowest = (_repeat(v, cell) for v in (start, end, lowest))
    # Heights at the ends need not be exact: the first refinement goes to the guess, and they bound the next one.
    above, below = (start - guess).clamp(min=0.01), (end - guess).clamp(max=-0.01)
    bracket = _Bracket(rays, near=start, far=end, above=above, below=below)
    for _ in range(2):
        bracket.refine(0.1)
    return bracket, lowest


def first_hit(radius: Tensor, origin: Tensor, step: Tensor,
              pixel: float) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Return the hit points (b, 3, h, w) in the head's space and the head's coverage (b, h, w).

    The march runs without gradients; one Newton step with a constant slope then gives the depth
    its exact implicit derivative with respect to the surface and the camera. Coverage falls from 1
    to 0 over about a pixel (head units) around the outline, by the lowest height along the ray; at
    a minimum the depth's own derivative drops out, so outlines have gradients too.
    """
    rays = equal_area.Rays(radius, origin, step)
    with torch.no_grad():
        bracket, lowest = _march(rays, origin.shape[-1])
        depth, slope = bracket.depth(), bracket.slope()
    clearance = rays.height(lowest)
    hit = 1.0 - _above(clearance.detach())
    depth = torch.lerp(lowest, depth, hit)
    depth = depth - rays.height(depth) * (hit / slope)
    return rays.points(depth), torch.sigmoid(clearance * (-2.5 / pixel))
