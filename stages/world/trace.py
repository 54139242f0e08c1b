"""The camera: perspective, the exact five-point alignment, and the rays' first hit on the head."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from stages.world import chart
from stages.world.geometry import Layout, Person

# The ArcFace template of 112 x 112 px: eyes, nose tip, mouth corners, (x right, y down).
TEMPLATE_PX = ((38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366),
               (41.5493, 92.3655), (70.7299, 92.2041))  # fmt: skip
TEMPLATE_SIZE = 112
_NEAR, _FAR, _STEPS = 1.36, -0.9, 15  # marched depths along the view axis, head units


@dataclass(frozen=True)
class View:
    """Hold the camera of each image: head rotation, distance, and template -> plane similarity."""

    rotation: Tensor  # (b, 3, 3), head frame to camera frame
    distance: Tensor  # (b,) from the camera to the head's origin, head units
    similarity: Tensor  # (b, 4): (a, b, tx, ty), plane = [[a, b], [-b, a]] (template - t)


def rotation_of(p: Person) -> Tensor:
    """Return the head's rotation (b, 3, 3): yaw to the image's right, then pitch up, then roll."""
    yaw, pitch, roll = (p.now(n) * (math.pi / 180) for n in ("yaw_deg", "pitch_deg", "roll_deg"))
    zero, one = torch.zeros_like(yaw), torch.ones_like(yaw)
    cy, sy, cp, sp, cr, sr = yaw.cos(), yaw.sin(), pitch.cos(), pitch.sin(), roll.cos(), roll.sin()
    about_y = torch.stack([cy, zero, sy, zero, one, zero, -sy, zero, cy], 1).view(-1, 3, 3)
    about_x = torch.stack([one, zero, zero, zero, cp, sp, zero, -sp, cp], 1).view(-1, 3, 3)
    about_z = torch.stack([cr, -sr, zero, sr, cr, zero, zero, zero, one], 1).view(-1, 3, 3)
    return about_z @ about_x @ about_y


def landmarks_head(radius: Tensor, at: Layout) -> Tensor:
    """Return the five landmarks (b, 5, 3) on the surface, in the order of the template."""
    zero = torch.zeros_like(at.eye_x)
    x = [-at.eye_x, at.eye_x, at.nose_x + zero, at.mouth_x - at.mouth_half,
         at.mouth_x + at.mouth_half]  # fmt: skip
    y = [at.eye_y, at.eye_y, at.nose_y, at.mouth_y, at.mouth_y]
    s = torch.stack([torch.stack(x, 1), torch.stack(y, 1)], -1)  # (b, 5, 2)
    r = chart.lookup(radius[:, None], (s / chart.CHART_SCALE)[:, :, None])[:, 0]  # (b, 5, 1)
    return r * chart.direction(s)


def _project(points: Tensor, rotation: Tensor, distance: Tensor) -> Tensor:
    """Project head points (b, n, 3) to the plane through the head's origin, (b, n, 2), y down."""
    camera = points @ rotation.transpose(1, 2)
    shrink = 1.0 - camera[..., 2:] / distance[:, None, None]
    return torch.cat([camera[..., :1], -camera[..., 1:2]], -1) / shrink


def _fit(source: Tensor, target: Tensor) -> Tensor:
    """Return the least-squares similarity (b, 4) = (a, b, tx, ty) from source to target points.

    target ~ [[a, -b], [b, a]] source + t; both (b, 5, 2). No reflections.
    """
    source_mean, target_mean = source.mean(1, keepdim=True), target.mean(1, keepdim=True)
    q, t = source - source_mean, target - target_mean
    power = q.square().sum((1, 2))
    a = (q * t).sum((1, 2)) / power
    b = (q[..., 0] * t[..., 1] - q[..., 1] * t[..., 0]).sum(1) / power
    sx, sy = source_mean[:, 0, 0], source_mean[:, 0, 1]
    shift = target_mean[:, 0] - torch.stack([a * sx - b * sy, b * sx + a * sy], 1)
    return torch.cat([torch.stack([a, b], 1), shift], 1)


def _jittered(p: Person) -> Tensor:
    """Return the template (b, 5, 2) moved by the style's shift, tilt and zoom about its middle.

    They stand for a face detector's error and are 0 in the neutral style.
    """
    template = torch.tensor(TEMPLATE_PX) - TEMPLATE_SIZE / 2
    tilt, zoom = p.now("tilt_deg") * (math.pi / 180), torch.exp(p.now("zoom_log"))
    c, s = (zoom * tilt.cos())[:, None], (zoom * tilt.sin())[:, None]
    x = c * template[:, 0] - s * template[:, 1] + p.now("shift_x_px")[:, None]
    y = s * template[:, 0] + c * template[:, 1] + p.now("shift_y_px")[:, None]
    return torch.stack([x, y], -1) + TEMPLATE_SIZE / 2


def view_of(p: Person, landmarks: Tensor) -> View:
    """Return the camera that puts the projected landmarks (b, 5, 3) on the template."""
    rotation = rotation_of(p)
    distance = 14.0 * torch.exp(p.now("distance_log"))  # 1.4 m when neutral
    return View(rotation, distance, _fit(_project(landmarks, rotation, distance), _jittered(p)))


def to_template(points: Tensor, view: View) -> Tensor:
    """Return where head points (b, n, 3) appear in the 112 px template frame, (b, n, 2)."""
    q = _project(points, view.rotation, view.distance)
    a, b, tx, ty = (v[:, None] for v in view.similarity.unbind(1))
    x, y = q[..., 0], q[..., 1]
    return torch.stack([a * x - b * y + tx, b * x + a * y + ty], -1)


def rays(view: View, size_px: int) -> tuple[Tensor, Tensor]:
    """Return origin and direction (b, 3, size, size) of the pixels' rays in the head frame.

    A ray's parameter is the camera-frame depth Z, so it runs from _NEAR down to _FAR.
    """
    axis = torch.arange(size_px) * (TEMPLATE_SIZE / size_px)
    row, col = torch.meshgrid(axis, axis, indexing="ij")
    a, b, tx, ty = (v[:, None, None] for v in view.similarity.unbind(1))
    power = a * a + b * b
    dx, dy = col - tx, row - ty
    x, y = (a * dx + b * dy) / power, -(a * dy - b * dx) / power  # plane, y up
    m = view.rotation[..., None, None]  # rows of R^T are columns of R
    inverse = 1.0 / view.distance[:, None, None, None]
    across = x[:, None] * m[:, 0] + y[:, None] * m[:, 1]  # (b, 3, size, size)
    return across, m[:, 2] - across * inverse


def _height(radius: Tensor, origin: Tensor, step: Tensor, depth: Tensor) -> Tensor:
    """Return how far the rays' points at depth (b, h, w) lie above the surface."""
    x, y, z = (origin[:, i] + depth * step[:, i] for i in range(3))
    grid, distance = chart.grid_of(x, y, z)
    return distance - chart.lookup(radius[:, None], grid)[:, 0]


class _Rays:
    """Evaluate heights along rays without gradients, with as few passes as possible."""

    def __init__(self, radius: Tensor, origin: Tensor, step: Tensor) -> None:
        """Keep radius (b, G, G) and rays (b, 3, h, w), and the quadratic |origin + t step|^2."""
        self._radius = radius[:, None]
        self._origin, self._step = origin.unbind(1), step.unbind(1)
        self._c0 = origin.square().sum(1)
        self._c1 = (origin * step).sum(1) * 2.0
        self._c2 = step.square().sum(1)

    def height(self, depth: Tensor) -> Tensor:
        """Return what `_height` returns."""
        square = torch.addcmul(self._c0, depth, torch.addcmul(self._c1, depth, self._c2))
        distance = square.sqrt_()
        x, y, z = (torch.addcmul(o, depth, d) for o, d in zip(self._origin, self._step, strict=True))
        scale = z.add_(distance).mul_(distance).mul_(2.0).clamp_(min=1e-4).rsqrt_()
        grid = torch.stack([x.mul_(scale), y.mul_(scale)], -1)
        return distance.sub_(chart.lookup(self._radius, grid)[:, 0])


@dataclass
class _Bracket:
    """Hold, per ray, two depths around the first hit and the heights there (above > 0 >= below)."""

    near: Tensor
    above: Tensor
    far: Tensor
    below: Tensor
    missing: Tensor  # bool: no hit, the other fields mean nothing
    heights: list[Tensor]  # at every scanned depth

    def depth(self) -> Tensor:
        """Return the secant's zero, (b, h, w)."""
        share = (self.above / (self.above - self.below).clamp(min=1e-6)).clamp(0.0, 1.0)
        return self.near + (self.far - self.near) * share

    def slope(self) -> Tensor:
        """Return the height's mean slope over the bracket, bounded away from 0 (grazing rays)."""
        return ((self.above - self.below) / (self.near - self.far).clamp(min=1e-6)).clamp(min=0.15)


def _scan(lines: _Rays, start: Tensor, width: Tensor, steps: int) -> _Bracket:
    """March from depth start (b, h, w) in equal steps of width; bracket the first entry."""
    before = lines.height(start)
    found = _Bracket(start, before, start - width, torch.zeros_like(before),
                     torch.ones_like(before, dtype=torch.bool), [before])  # fmt: skip
    for i in range(1, steps + 1):
        depth = torch.addcmul(start, width, width.new_tensor(-float(i)))
        value = lines.height(depth)
        found.heights.append(value)
        entering = found.missing & (value < 0)
        found.far = torch.where(entering, depth, found.far)
        found.above = torch.where(entering, before, found.above)
        found.below = torch.where(entering, value, found.below)
        found.missing = found.missing & ~entering
        before = value
    found.near = found.far + width
    return found


def _refine(lines: _Rays, found: _Bracket) -> None:
    """Narrow the bracket once, in place, at the secant's zero (kept off the bracket's ends)."""
    share = (found.above / (found.above - found.below).clamp(min=1e-6)).clamp(0.02, 0.98)
    depth = found.near + (found.far - found.near) * share
    value = lines.height(depth)
    outside = value > 0
    found.near = torch.where(outside, depth, found.near)
    found.above = torch.where(outside, value, found.above)
    found.far = torch.where(outside, found.far, depth)
    found.below = torch.where(outside, found.below, value)


def _nearest(heights: list[Tensor]) -> Tensor:
    """Return the depth (b, 1, h, w) where scanned rays pass the surface lowest, by a parabola."""
    all_heights = torch.stack(heights, 1)
    low = all_heights.argmin(1, keepdim=True).clamp(1, len(heights) - 2)
    before, here, after = (all_heights.gather(1, low + i) for i in (-1, 0, 1))
    bend = (before + after - 2.0 * here).clamp(min=1e-4)
    shift = (0.5 * (before - after) / bend).clamp(-1.0, 1.0)
    return _NEAR - (low + shift) * ((_NEAR - _FAR) / _STEPS)


def _march(radius: Tensor, origin: Tensor, step: Tensor) -> tuple[_Bracket, Tensor]:
    """Bracket the first hits: a scan at half resolution, then a short one around its depths.

    Also returns the depth (b, h, w) of every ray's lowest passage.
    """
    near = torch.full_like(origin[:, 0, ::2, ::2], _NEAR)
    width = torch.full_like(near, (_NEAR - _FAR) / _STEPS)
    coarse = _scan(_Rays(radius, origin[:, :, ::2, ::2], step[:, :, ::2, ::2]), near, width, _STEPS)
    depth, hidden = coarse.depth()[:, None], coarse.missing[:, None]
    first = F.max_pool2d(depth.masked_fill(hidden, -9.0), 3, 1, 1)
    last = -F.max_pool2d((-depth).masked_fill(hidden, -9.0), 3, 1, 1)
    outline = F.max_pool2d(hidden.float(), 3, 1, 1)  # beside a miss the surface falls away fast
    bounds = torch.cat([first + 0.07, last - 0.07 - 0.3 * outline], 1)
    start, end = bounds.repeat_interleave(2, 2).repeat_interleave(2, 3).unbind(1)
    lines = _Rays(radius, origin, step)
    found = _scan(lines, start, (start - end).clamp(min=0.01) / 4, 4)
    _refine(lines, found)
    found.missing = found.missing | (start < -5.0)
    size = [2 * n for n in near.shape[1:]]
    lowest = F.interpolate(_nearest(coarse.heights), size=size, mode="nearest")[:, 0]
    return found, lowest


def first_hit(radius: Tensor, origin: Tensor, step: Tensor,
              pixel: float) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Return the hit points (b, 3, h, w) in the head frame and the head's coverage (b, h, w).

    The march runs without gradients; one Newton step with a constant slope then gives the depth
    its exact implicit derivative with respect to the surface and the camera. Coverage falls from 1
    to 0 over about a pixel (head units) around the outline, by the lowest height along the ray; at
    a minimum the depth's own derivative drops out, so outlines have gradients too.
    """
    with torch.no_grad():
        found, lowest = _march(radius, origin, step)
        hit, slope = ~found.missing, found.slope()
        depth = torch.where(hit, found.depth(), lowest)
    newton = _height(radius, origin, step, depth) / slope
    depth = depth - torch.where(hit, newton, torch.zeros_like(newton))
    coverage = torch.sigmoid(_height(radius, origin, step, lowest) * (-2.5 / pixel))
    return origin + depth[:, None] * step, coverage
