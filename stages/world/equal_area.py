"""The chart of head directions: an equal-area square map, its sampling, and fixed noise on it.

A direction d = (x right, y up, z out of the face) has chart coordinates
s = K (x, y) / sqrt(2 (1 + z)) (Lambert's azimuthal equal-area map), so s is near head units (1 unit
= 0.1 m) around the nose. Maps are sampled at s / K in [-1, 1], rows growing with y.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from stages.common.streams import stream
from stages.world.device import constant

CHART_SCALE = 1.67
_ASYMMETRY = 0.25  # of the residual bases, against their symmetric part
STREAKS, GRAIN, FRECKLES, OTHER_FRECKLES = range(4)  # the fields of `fine_noise`
MAP_SIZE = 72  # texels: .046 head units each, 1.5 pixels at 64 px; 80 cost 6 % of the speed there, none at 112 px


@constant
def texel_axis(size: int = MAP_SIZE) -> Tensor:
    """Return the chart coordinates (size,) of the texel centres along one axis."""
    return torch.linspace(-CHART_SCALE, CHART_SCALE, size)


@constant
def texel_directions(size: int = MAP_SIZE) -> Tensor:
    """Return the unit direction (3, size, size) of every texel; corners look straight back."""
    v, u = torch.meshgrid(*[torch.linspace(-1.0, 1.0, size)] * 2, indexing="ij")
    rho2 = (u * u + v * v).clamp(max=1.0)
    side = 2.0 * (1.0 - rho2).sqrt()
    return torch.stack([u * side, v * side, 1.0 - 2.0 * rho2])


def direction(s: Tensor) -> Tensor:
    """Return the unit directions (..., 3) of chart coordinates s (..., 2), inside the disc."""
    uv = s / CHART_SCALE
    rho2 = uv.square().sum(-1, keepdim=True)
    return torch.cat([2.0 * uv * (1.0 - rho2).sqrt(), 1.0 - 2.0 * rho2], -1)


def dot(a: Tensor, b: Tensor) -> Tensor:
    """Return the scalar products (b, h, w) of vectors (b, 3, h, w): a sum over planes is slow."""
    (ax, ay, az), (bx, by, bz) = a.unbind(1), b.unbind(1)
    return torch.addcmul(torch.addcmul(ax * bx, ay, by), az, bz)


def scale_of(z: Tensor, distance: Tensor) -> Tensor:
    """Return what takes the x and y of points at a distance from the origin to the sampling grid."""
    return math.sqrt(0.5) / ((z + distance) * distance).clamp(min=1e-4).sqrt()  # rsqrt is slower


def grid_of(points: Tensor) -> Tensor:
    """Return the sampling grid (b, 2, h, w) of points (b, 3, h, w)."""
    distance = dot(points, points).sqrt()
    return points[:, :2] * scale_of(points[:, 2], distance)[:, None]


def lookup(maps: Tensor, grid: Tensor) -> Tensor:
    """Sample maps (b, c, G, G) bilinearly at grid (b, 2, h, w): (b, c, h, w).

    The grid holds planes: interleaved coordinates take twice as long.
    """
    interleaved = grid.permute(0, 2, 3, 1)
    return F.grid_sample(maps, interleaved, mode="bilinear", padding_mode="border", align_corners=True)


def resized(maps: Tensor, size: int) -> Tensor:
    """Resample maps (b, h, w) to (b, size, size), corner texels staying in place."""
    return F.interpolate(maps[:, None], size=(size, size), mode="bilinear", align_corners=True)[:, 0]


class Rays:
    """Evaluate heights above the surface along rays, with as few passes over the pixels as possible."""

    def __init__(self, radius: Tensor, origin: Tensor, step: Tensor) -> None:
        """Keep radius (b, G, G) and rays (b, 3, h, w), and the quadratic |origin + t step|^2."""
        self._radius = radius[:, None]
        self._origin, self._step = origin, step
        # The small constant keeps the chart's pole, straight back, off a division by 0.
        self._c0 = dot(origin, origin) + 1e-4
        self._c1 = 2.0 * dot(origin, step)
        self._c2 = dot(step, step)
        self._z0, self._z1 = origin[:, 2], step[:, 2]
        self._xy0, self._xy1 = (math.sqrt(0.5) * v[:, :2] for v in (origin, step))

    def coarse(self, cell: int) -> "Rays":
        """Return the rays through the middles of square cells of so many pixels."""
        first, last = slice(None, None, cell), slice(cell - 1, None, cell)
        middles = (0.5 * (v[:, :, first, first] + v[:, :, last, last]) for v in (self._origin, self._step))
        return Rays(self._radius[:, 0], *middles)

    def height(self, depth: Tensor) -> Tensor:
        """Return how far the rays' points at depth (b, h, w) lie above the surface."""
        square = torch.addcmul(self._c0, depth, torch.addcmul(self._c1, depth, self._c2))
        distance = square.sqrt()
        z = torch.addcmul(self._z0, depth, self._z1)
        xy = torch.addcmul(self._xy0, depth[:, None], self._xy1)
        grid = xy / torch.addcmul(square, z, distance).sqrt()[:, None]  # as grid_of
        return distance - lookup(self._radius, grid)[:, 0]

    def level(self, depth: float) -> Tensor:
        """Return the same depth (b, h, w) for all rays."""
        return torch.full_like(self._c0, depth)

    def points(self, depth: Tensor) -> Tensor:
        """Return the rays' points (b, 3, h, w) at depth (b, h, w)."""
        return torch.addcmul(self._origin, depth[:, None], self._step)


def _filtered(rng: np.random.Generator, count: int, low: float, high: float) -> np.ndarray:
    """Return unit-variance fields (count, G, G) with falling power between two frequencies."""
    freq = np.fft.fftfreq(MAP_SIZE) * MAP_SIZE
    f = np.hypot(freq[:, None], freq[None, :])
    band = (1.0 / (1.0 + (f / high) ** 4)) * (1.0 - np.exp(-((f / low) ** 2)))
    noise = np.fft.fft2(rng.standard_normal((count, MAP_SIZE, MAP_SIZE)))
    fields = np.fft.ifft2(noise * band).real
    return fields / fields.std((1, 2), keepdims=True)


@constant
def residual_bases(kind: str, count: int) -> Tensor:
    """Return fixed random bases (count, G, G) whose frequency rises and amplitude falls with index.

    They are nearly mirror-symmetric, as faces are. kind ("shape", "studio", "wild") keys the generator: the domains'
    texture bases differ.
    """
    rng = stream("residual bases", sum(kind.encode()), count)
    rank = np.arange(count) / count
    fields = np.concatenate([_filtered(rng, 1, 1.5 + 3 * r, 3.0 + 7 * r) for r in rank])
    fields = (1 + _ASYMMETRY) * fields + (1 - _ASYMMETRY) * fields[:, :, ::-1]
    fields = fields / fields.std((1, 2), keepdims=True)
    return torch.from_numpy((fields * (1.0 - 0.6 * rank)[:, None, None]).astype(np.float32))


@constant
def texture_bases(kind: str, count: int) -> Tensor:
    """Return residual bases in colour, (count, 3 * G * G): mostly lightness, partly hue."""
    rng = stream("texture colours", sum(kind.encode()), count)
    colours = np.ones((count, 3)) * rng.choice((-1, 1), (count, 1))
    colours = torch.from_numpy((colours + 0.12 * rng.standard_normal((count, 3))).astype(np.float32))
    return (residual_bases(kind, count)[:, None] * colours[:, :, None, None]).flatten(1)


def _streaks(rng: np.random.Generator, size: int) -> np.ndarray:
    """Return noise (size, size) that is constant along lines through a point above the brow."""
    v, u = np.meshgrid(*[np.linspace(-CHART_SCALE, CHART_SCALE, size)] * 2, indexing="ij")
    angle = np.arctan2(u, 0.95 - v)  # strands fan out of the crown
    reach = np.hypot(u, v - 0.95)
    total = np.zeros_like(u)
    for frequency, weight in ((9, 0.7), (17, 0.8), (29, 0.8), (47, 0.7), (70, 0.5)):
        phase, sway = rng.uniform(0, 2 * math.pi, 2)
        total += weight * np.sin(frequency * angle + phase + 1.5 * np.sin(3 * reach + sway))
    return total / total.std()


@constant
def fine_noise(kind: str) -> Tensor:
    """Return fixed fine fields (4, 256, 256): streaks, skin grain and two sets of freckles."""
    size = 256
    rng = stream("fine noise", sum(kind.encode()))
    grain = F.avg_pool2d(torch.from_numpy(rng.standard_normal((1, 3, size, size))), 3, 1, 1)[0]
    grain = (grain / grain.std((1, 2), keepdim=True)).numpy()
    freckles = np.clip(grain[1:] - 0.9, 0.0, None)
    fields = np.concatenate([_streaks(rng, size)[None], grain[:1], freckles])
    return torch.from_numpy(fields.astype(np.float32))
