"""The head as a star-shaped surface: its radius on the chart, normals, and occlusion.

The head's space has its origin inside the head, x to the image's right when frontal, y up and z out of the face, in
head units of 0.1 m. The surface is one radius for every direction from the origin. Directions are places on the chart
(`equal_area.py`), so the surface is a map (b, G, G), and its points are radius * direction. Chart coordinates are near
head units around the nose; features (`Layout`) and bumps are placed in them.

`person_of` names the numbers of identity and style. Layout, ellipsoids and bumps are linear in them
(`linear_expressions.py`), and `skin_radius` adds these up to the bald head. `ears` are a map of their own, which
`hair.py` puts on together with the hair. `normals`, `ambient_occlusion` and `light_visibility` map a radius to what
shading needs, on the chart again.
"""

import math
from dataclasses import dataclass
from functools import cache, reduce
from typing import Generic, TypeVar

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from stages.world import equal_area, identity, linear_expressions, style
from stages.world.device import constant
from stages.world.linear_expressions import Linear, of

_AO_SCALES = {5: 2.5, 11: 2.2, 21: 0.9}  # texels of blur and how much a hollow of that size darkens
_OPEN_SKY = 1.0 / (1.0 + math.exp(-1.6))


# Bumps, skull and layout are linear in these: identity coordinates, style columns, and what `person_of` makes of both
_INPUTS = (linear_expressions.ONE, *identity.NAMES, *style.NAMES, "child", "old", "sag", "old_fat", "smiling", "cleft")
_Value = TypeVar("_Value", Tensor, Linear)


@dataclass(frozen=True)
class Person:
    """Hold one image's numbers by name: bounded identity z and style, every value (b,)."""

    z: Tensor
    s: Tensor
    age_years: Tensor
    child: Tensor  # 1 for a small child falling to 0 for an adult
    old: Tensor  # 0 for the young rising to about 1 at 80 years
    inputs: Tensor  # (b, len(_INPUTS))

    def of(self, name: str) -> Tensor:
        """Return an identity coordinate (b,)."""
        return self.z[:, identity.column(name)]

    def now(self, name: str) -> Tensor:
        """Return a style column (b,)."""
        return self.s[:, style.column(name)]


def person_of(z: Tensor, styles: Tensor) -> Person:
    """Bind identity (b, IDENTITY_DIM) and style (b, STYLE_DIM); age is kept between 4 and 90."""
    z = identity.bounded(z)
    wanted_age = identity.attributes(z)["age_years"] + styles[:, style.column("age_offset_years")]
    age = 4.0 + F.softplus(wanted_age - 4.0, beta=0.3)
    age = 90.0 - F.softplus(90.0 - age, beta=0.3)
    child, old = torch.sigmoid((12.0 - age) / 3.0), torch.sigmoid((age - 58.0) / 8.0)
    sag = old * (1.0 + 0.3 * z[:, identity.column("age_sag")])
    smiling = styles[:, style.column("smile")].clamp(min=0)
    cleft = (z[:, identity.column("chin_cleft")] - 0.5).clamp(min=0)
    derived = torch.stack([child, old, sag, z[:, identity.column("age_fat")] * old, smiling, cleft], 1)
    inputs = torch.cat([torch.ones_like(age)[:, None], z, styles, derived], 1)
    return Person(z, styles, age, child, old, inputs)


class _Rows(Generic[_Value]):
    """Collect the numbers of Gaussian bumps that are separable on the chart: values of one kind, and constants."""

    def __init__(self) -> None:
        """Start empty."""
        self.rows: list[tuple[_Value | float, ...]] = []

    def add(self, amp: _Value | float, x: _Value | float, y: _Value | float,
            wx: _Value | float, wy: _Value | float) -> None:  # fmt: skip
        """Add a bump of height amp at (x, y) with Gaussian widths wx, wy in chart units."""
        self.rows.append((amp, x, y, wx, wy))

    def pair(self, amp: _Value | float, x: _Value | float, y: _Value | float,
             wx: _Value | float, wy: _Value | float) -> None:  # fmt: skip
        """Add a bump and its mirror image."""
        self.add(amp, x, y, wx, wy)
        self.add(amp, -x, y, wx, wy)


def _field(numbers: Tensor) -> Tensor:
    """Return the summed field (b, G, G) of bumps (b, k, 5), by one product."""
    amp, x, y, wx, wy = numbers.unbind(2)  # (b, k) each
    axis = equal_area.texel_axis()
    # Far tails are cut at exp(-16): exp of very negative numbers is slow (denormals).
    ex = torch.exp(-((axis - x[..., None]) / wx[..., None]).square().clamp(max=16.0))
    ey = torch.exp(-((axis - y[..., None]) / wy[..., None]).square().clamp(max=16.0))
    return (ey * amp[..., None]).transpose(1, 2) @ ex


class Bumps(_Rows[Tensor]):
    """Collect bumps of any numbers per image, to be summed."""

    def __init__(self, like: Tensor) -> None:
        """Start empty; every number added later is broadcast to the shape of like (b,)."""
        super().__init__()
        self._like = like

    def _numbers(self) -> Tensor:
        """Return all bumps' numbers (b, k, 5); constants are filled in at once, for speed."""
        plain = [[0.0 if isinstance(v, Tensor) else v for v in row] for row in self.rows]
        numbers = torch.tensor(plain).repeat(len(self._like), 1, 1)
        varying = [(k, i, v) for k, row in enumerate(self.rows) for i, v in enumerate(row)
                   if isinstance(v, Tensor)]  # fmt: skip
        k, i, values = zip(*varying, strict=True)
        numbers[:, list(k), list(i)] = torch.stack(values, 1)
        return numbers

    def field(self) -> Tensor:
        """Return the summed field (b, G, G)."""
        return _field(self._numbers())


@dataclass(frozen=True)
class Layout(Generic[_Value]):
    """Place the features on the chart, every value (b,) in chart units."""

    eye_x: _Value
    eye_y: _Value
    nose_x: _Value
    nose_y: _Value
    mouth_x: _Value
    mouth_y: _Value
    mouth_half: _Value
    chin_y: _Value
    brow_y: _Value
    hairline_y: _Value


@cache
def _layout() -> Layout[Linear]:
    """Express where a person's features sit, with the style's mouth and brow movements."""
    child = of("child")
    mouth_y = (-0.425 + 0.016 * of("mouth_height") + 0.05 * child
               - 0.012 * of("nose_length"))  # fmt: skip
    half = 0.205 + 0.020 * of("mouth_width") - 0.035 * child
    half = half + 0.030 * of("smile") - 0.05 * of("pucker") - 0.012 * of("mouth_open")
    eye_y = 0.165 + 0.010 * of("eye_height") - 0.02 * child
    return Layout(
        eye_x=0.305 + 0.016 * of("eye_spacing"),
        eye_y=eye_y,
        nose_x=0.010 * of("skew_nose"),
        nose_y=-0.150 - 0.024 * of("nose_length") + 0.012 * of("nose_up") + 0.05 * child,
        mouth_x=0.010 * of("skew_mouth") + 0.015 * of("jaw_side"),
        mouth_y=mouth_y,
        mouth_half=half,
        chin_y=-0.70 - 0.03 * of("chin_length") - 0.02 * of("face_length")
        + 0.08 * child - 0.045 * of("mouth_open"),
        brow_y=eye_y + 0.150 + 0.014 * of("brow_height") + 0.022 * of("brow_raise")
        - 0.018 * of("brow_frown") - 0.02 * of("old"),
        hairline_y=0.64 + 0.05 * of("forehead") - 0.02 * of("hairline") + 0.04 * child,
    )  # fmt: skip


@constant
def _layout_weights() -> Tensor:
    """Return the weights (inputs, 10) of the layout's numbers."""
    return linear_expressions.matrix(vars(_layout()).values(), _INPUTS)


def layout_of(p: Person) -> Layout[Tensor]:
    """Return where this person's features sit."""
    return Layout(*(p.inputs @ _layout_weights()).unbind(1))


def _far_side(centre: Tensor, radii: Tensor) -> Tensor:
    """Return the far radius (b, G, G), seen from the origin inside, of ellipsoids by x, y, z (b, 3)."""
    w = radii.pow(-2)
    d = equal_area.texel_directions().flatten(1)  # (3, G * G): the quadratic's terms are products
    a, b = w @ d.square(), (centre * w) @ d
    e = 1.0 - (centre * centre * w).sum(1, keepdim=True)
    far = (b + torch.addcmul(a * e, b, b).clamp(min=1e-6).sqrt()) / a
    return far.unflatten(1, (equal_area.MAP_SIZE, equal_area.MAP_SIZE))


def ellipsoid(like: Tensor, centre: tuple[Tensor | float, ...],
              radii: tuple[Tensor | float, ...]) -> Tensor:  # fmt: skip
    """Return the far radius (b, G, G), seen from the origin inside, of axis-aligned ellipsoids.

    centre and radii are x, y, z in head units, numbers or (b,); like (b,) gives the batch.
    """
    zero = torch.zeros_like(like)
    return _far_side(*(torch.stack([zero + v for v in values], 1) for values in (centre, radii)))


def _smooth_max(a: Tensor, b: Tensor, width: float) -> Tensor:
    """Return max(a, b) rounded over about `width` head units."""
    apart = a - b
    return torch.lerp(b, a + torch.addcmul(torch.tensor(width * width), apart, apart).sqrt(), 0.5)


@constant
def _base_weights() -> Tensor:
    """Return the weights (inputs, 18) of centre and radii of skull, face and neck."""
    child, sex = of("child"), of("sex")
    wide = 1.0 + 0.045 * of("face_width")
    long = 1.0 + 0.042 * of("face_length") - 0.13 * child
    deep = 1.0 + 0.030 * of("face_depth")
    temple = 0.745 * wide + 0.012 * of("temple")
    skull = (0.0, 0.36, -0.12, temple, 0.93 + 0.02 * of("forehead"), 0.92 * deep)
    jaw = 0.038 * of("jaw_width") + 0.012 * sex + 0.015 * of("old_fat")
    face = (0.0, -0.14 * long, 0.13, 0.590 * wide + jaw, 0.83 * long, 0.72 * deep)
    neck_x = 0.46 + 0.035 * of("neck_width") + 0.02 * sex - 0.10 * child
    neck = (0.0, -0.85, -0.28, neck_x, 1.25, neck_x)
    return linear_expressions.matrix((*skull, *face, *neck), _INPUTS)


def _base(p: Person) -> Tensor:
    """Return skull, face and neck as one radius map (b, G, G)."""
    numbers = (p.inputs @ _base_weights()).unflatten(1, (3, 2, 3))
    skull, face, neck = (_far_side(*centre_and_radii.unbind(1)) for centre_and_radii in numbers.unbind(1))
    return _smooth_max(_smooth_max(skull, face, 0.10), neck, 0.05)


def _upper_bumps(layout: Layout[Linear], b: _Rows[Linear]) -> None:
    """Add brow ridge, sockets, eyeballs, temples, cheekbones and the hollows before the ears."""
    old, child = of("old"), of("child")
    b.pair(0.035 + 0.014 * of("brow_ridge") - 0.02 * child, 0.27, layout.brow_y - 0.02, 0.20, 0.075)
    b.add(0.012 * of("brow_ridge") - 0.01, 0.0, layout.brow_y - 0.03, 0.10, 0.08)
    b.pair(-0.060 - 0.012 * of("eye_depth"), layout.eye_x - 0.01, layout.eye_y + 0.01, 0.16, 0.095)
    b.pair(-0.050, 0.135, layout.eye_y - 0.02, 0.07, 0.10)
    b.pair(0.040 + 0.006 * of("eye_size"), layout.eye_x, layout.eye_y, 0.095, 0.065)
    b.pair(0.012 * of("eye_bag") + 0.02 * old, layout.eye_x - 0.01, layout.eye_y - 0.10, 0.09, 0.04)
    b.pair(0.02 * of("temple") - 0.02, 0.66, 0.38, 0.15, 0.20)
    b.pair(0.03, 0.22, 0.50, 0.22, 0.20)
    b.pair(0.040 + 0.016 * of("cheekbone") - 0.03 * child, 0.47, 0.02, 0.19, 0.14)
    b.pair(-0.06, 1.10, 0.02, 0.05, 0.12)


def _ears(b: _Rows[Linear]) -> None:
    """Add the ears."""
    b.pair(0.14 + 0.03 * of("ear_out"), 1.20, 0.04 + 0.03 * of("ear_height"), 0.075,
           0.19 + 0.015 * of("ear_size") + 0.02 * of("old"))  # fmt: skip


def _nose_bumps(layout: Layout[Linear], b: _Rows[Linear]) -> None:
    """Add the nose as a ridge of five bumps, a tip, wings and the step below."""
    child = of("child")
    forward = 0.030 * of("nose_out") - 0.06 * child
    low = 0.025 * of("nose_bridge") - 0.03 * child
    root = layout.eye_y + 0.05
    width = 0.062 + 0.007 * of("nose_width")
    for i, height in enumerate((0.015, 0.040, 0.068, 0.092, 0.105)):
        t = i / 4.0
        y = root + (layout.nose_y + 0.04 - root) * t
        hump = 0.016 * of("nose_hump") * (1.0 - abs(2.0 * t - 1.0))
        b.add(
            height + low * (1.0 - 0.6 * t) + forward * t + hump,
            layout.nose_x * t,
            y,
            width + 0.022 * t,
            0.065,
        )
    tip = 0.090 + 0.010 * of("nose_tip") + 0.010 * of("nose_width")
    b.add(0.10 + 0.4 * forward, layout.nose_x, layout.nose_y, tip - 0.012, 0.065)
    wing_x = 0.098 + 0.017 * of("nose_width")
    b.pair(0.052 + 0.010 * of("nostril"), wing_x, layout.nose_y - 0.015, 0.048, 0.045)
    b.add(-0.030, layout.nose_x, layout.nose_y - 0.105, 0.12, 0.045)


def _lower_bumps(layout: Layout[Linear], b: _Rows[Linear]) -> None:
    """Add cheeks, mouth, lips, chin, jaw corners, and what age and smiling fold there."""
    old, child = of("old"), of("child")
    smile, sag = of("smile"), of("sag")
    full = 0.020 * of("cheek_full") + 0.07 * child + 0.02 * of("old_fat")
    b.pair(full - 0.02 * old, 0.43, -0.24, 0.20, 0.20)
    b.pair(0.022 * smile, 0.36, -0.12, 0.12, 0.10)
    b.add(0.045 + 0.012 * of("mouth_out") - 0.015 * old, 0.0, layout.mouth_y, 0.25, 0.14)
    upper = 0.030 + 0.007 * of("lip_upper") - 0.014 * old + 0.02 * of("pucker")
    lower = 0.036 + 0.008 * of("lip_lower") - 0.012 * old + 0.02 * of("pucker")
    b.add(upper, layout.mouth_x, layout.mouth_y + 0.042, 0.8 * layout.mouth_half, 0.035)
    b.add(lower, layout.mouth_x, layout.mouth_y - 0.052, 0.7 * layout.mouth_half, 0.040)
    b.add(-0.030, layout.mouth_x, layout.mouth_y, layout.mouth_half, 0.022)
    b.pair(-0.022, layout.mouth_half + 0.02, layout.mouth_y, 0.05, 0.05)
    b.add(-0.030, 0.0, layout.mouth_y - 0.135, 0.18, 0.045)
    b.add(0.055 + 0.02 * of("chin_out") - 0.02 * child, layout.mouth_x, layout.chin_y + 0.02,
          0.17 + 0.025 * of("chin_width"), 0.11)  # fmt: skip
    b.add(-0.012 * of("cleft"), layout.mouth_x, layout.chin_y, 0.03, 0.06)
    corner = 0.012 + 0.022 * of("jaw_width") + 0.012 * of("sex") - 0.02 * child
    b.pair(corner, 0.64, -0.47 - 0.04 * of("jaw_drop"), 0.17, 0.17)
    b.pair(0.045 * sag, 0.42, -0.63, 0.11, 0.10)
    fold = -0.010 - 0.020 * sag - 0.014 * of("smiling")
    for t in (0.0, 0.5, 1.0):
        b.pair(fold, 0.16 + 0.13 * t, layout.mouth_y + 0.20 * (1 - t) + 0.02, 0.035, 0.055)


def _weights(bumps: _Rows[Linear]) -> Tensor:
    """Return the weights (inputs, 5 k) of bumps whose numbers are linear."""
    return linear_expressions.matrix([v for row in bumps.rows for v in row], _INPUTS)


@constant
def _face_weights() -> Tensor:
    """Return the weights of all the face's bumps."""
    bumps, layout = _Rows[Linear](), _layout()
    _upper_bumps(layout, bumps)
    _nose_bumps(layout, bumps)
    _lower_bumps(layout, bumps)
    return _weights(bumps)


@constant
def _ear_weights() -> Tensor:
    """Return the weights of the ears' bumps."""
    bumps = _Rows[Linear]()
    _ears(bumps)
    return _weights(bumps)


def ears(p: Person) -> Tensor:
    """Return how far the ears stand out, (b, G, G)."""
    return _field((p.inputs @ _ear_weights()).unflatten(1, (-1, 5)))


def skin_radius(p: Person) -> Tensor:
    """Return the radius map (b, G, G) of the bald head without ears, in head units of 0.1 m."""
    bumps = (p.inputs @ _face_weights()).unflatten(1, (-1, 5))
    bases = equal_area.residual_bases("shape", identity.SHAPE_RESIDUALS).flatten(1)
    residual = (p.z[:, identity.SHAPE] @ bases).unflatten(1, (equal_area.MAP_SIZE, equal_area.MAP_SIZE))
    return _base(p) + _field(bumps) + 0.0060 * residual


def _slopes(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Return central differences (..., G, G) of maps along columns and rows, one-sided at the border."""
    rows, columns = (torch.cat([maps.narrow(d, 0, 1), maps, maps.narrow(d, -1, 1)], d) for d in (-2, -1))
    return columns[..., 2:] - columns[..., :-2], rows[..., 2:, :] - rows[..., :-2, :]


@constant
def _tangents() -> tuple[Tensor, Tensor, Tensor]:
    """Return du x dv, dv x d and d x du (3, G, G) of the texels' directions d, times texels per length."""
    d = equal_area.texel_directions()
    du, dv = _slopes(d)
    crossed = (torch.linalg.cross(a, b, dim=0) for a, b in ((du, dv), (dv, d), (d, du)))
    first, second, third = (v * (equal_area.MAP_SIZE / 2) ** 2 for v in crossed)
    return first, second, third


def normals(radius: Tensor) -> Tensor:
    """Return outward unit normals (b, 3, G, G) of the surface radius * direction.

    (r d)_u x (r d)_v = r (r du x dv - r_u dv x d - r_v d x du), where the cross products are fixed.
    """
    along, about_u, about_v = _tangents()
    ru, rv = (v[:, None] for v in _slopes(radius))
    n = torch.addcmul(torch.addcmul(radius[:, None] * along, ru, about_u, value=-1.0), rv, about_v, value=-1.0)
    return n / (equal_area.dot(n, n) + 1e-12).sqrt()[:, None]


@constant
def _box(size: int) -> Tensor:
    """Return the matrix (G / 2, G) that averages `size` neighbours along one axis, at places of half the chart."""
    place = torch.linspace(0.0, equal_area.MAP_SIZE - 1.0, equal_area.MAP_SIZE // 2)
    away = (place[:, None] - torch.arange(equal_area.MAP_SIZE)).abs()
    near = (size / 2 + 0.5 - away).clamp(0.0, 1.0)  # texels at the ends count in part
    return near / near.sum(1, keepdim=True)


def ambient_occlusion(radius: Tensor) -> Tensor:
    """Return how much sky each texel sees, (b, G, G) in [0, 1]: hollows lie below their blur."""
    boxes = ((weight, _box(size)) for size, weight in _AO_SCALES.items())
    blurred = sum(weight * (box @ radius @ box.T) for weight, box in boxes)
    assert isinstance(blurred, Tensor)
    hollow = equal_area.resized(blurred, equal_area.MAP_SIZE) - sum(_AO_SCALES.values()) * radius
    return torch.sigmoid(1.6 - 5.0 * hollow) / _OPEN_SKY


def light_visibility(radius: Tensor, light: Tensor, hardness: float) -> Tensor:
    """Return how lit (b, g, g) each texel is from head-frame directions light (b, 3).

    radius (b, g, g) is marched towards the light in five steps; g may be coarser than the chart.
    """
    points = radius[:, None] * equal_area.texel_directions(radius.shape[-1])
    towards = equal_area.Rays(radius, points, light[:, :, None, None].expand_as(points))
    steps = (0.07, 0.15, 0.27, 0.43, 0.65)
    lowest = reduce(torch.minimum, [towards.height(towards.level(s)) + 0.1 * s for s in steps])
    return torch.sigmoid(hardness * (lowest.clamp(max=1.0) + 0.01))
