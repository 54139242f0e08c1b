"""Facial features drawn per pixel in chart coordinates: eyes, brows, mouth, nose, skin, glasses."""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from stages.world import equal_area
from stages.world.geometry import Layout, Person


@dataclass(frozen=True)
class Box:
    """Bound where a feature can appear in the image, in shares of its side.

    The alignment holds the face in place: these bounds were measured on people in styles of spread 2.
    """

    top: float
    bottom: float
    left: float
    right: float

    def slices(self, size: int) -> tuple[slice, slice]:
        """Return the rows and columns in an image of `size` pixels a side."""
        return (slice(int(self.top * size), math.ceil(self.bottom * size)),
                slice(int(self.left * size), math.ceil(self.right * size)))  # fmt: skip


FOREHEAD = Box(0.12, 0.62, 0.12, 0.88)
EYES = Box(0.22, 0.70, 0.14, 0.86)
GLASSES = Box(0.22, 0.80, 0.0, 1.0)
MOUTH = Box(0.46, 0.98, 0.20, 0.80)


@dataclass(frozen=True)
class Pen:
    """Hold the pixels' chart coordinates and the person drawn on them."""

    p: Person
    layout: Layout
    x: Tensor  # (b, h, w), chart units, + to the image's right when frontal
    y: Tensor  # (b, h, w)
    z: Tensor  # (b, h, w), head units
    soft: float  # half width of an edge, chart units

    def within(self, box: "Box") -> "Pen":
        """Return the pen of the pixels within a box."""
        rows, columns = box.slices(self.y.shape[1])
        return replace(self, **{k: getattr(self, k)[:, rows, columns] for k in ("x", "y", "z")})

    def of(self, name: str) -> Tensor:
        """Return an identity coordinate (b, 1, 1)."""
        return self.p.of(name)[:, None, None]

    def now(self, name: str) -> Tensor:
        """Return a style column (b, 1, 1)."""
        return self.p.now(name)[:, None, None]

    def at(self, name: str) -> Tensor:
        """Return a layout position (b, 1, 1)."""
        return getattr(self.layout, name)[:, None, None]

    def edge(self, signed: Tensor) -> Tensor:
        """Return soft coverage of signed > 0, in chart units."""
        return torch.sigmoid(signed * (1.6 / self.soft))

    @property
    def old(self) -> Tensor:
        """Return the person's age weight (b, 1, 1)."""
        return self.p.old[:, None, None]

    @property
    def child(self) -> Tensor:
        """Return the person's child weight (b, 1, 1)."""
        return self.p.child[:, None, None]


def _hollow(x: Tensor) -> Tensor:
    """Return 1 + x^2/4."""
    return torch.addcmul(torch.ones(()), x, x, value=0.25)


def _bell(x: Tensor) -> Tensor:
    """Return a bump of unit width without exp's slow far tails: (1 + x^2/4)^-4."""
    return _hollow(x).square().square().reciprocal()


def _spot(x: Tensor, y: Tensor) -> Tensor:
    """Return the product of two bumps."""
    return (_hollow(x) * _hollow(y)).square().square().reciprocal()


def _mix(colour: Tensor, paint: Tensor | tuple[float, float, float], cover: Tensor) -> Tensor:
    """Lay paint (b or 1, 3, ...) over colour (b, 3, h, w) with coverage (b, h, w)."""
    if not isinstance(paint, Tensor):
        paint = torch.tensor(paint)[None, :, None, None]
    return torch.lerp(colour, paint, cover[:, None])


def marks(pen: Pen, noise: Tensor) -> Tensor:
    """Return log-albedo darkening (b, h, w) anywhere on the skin: grain, freckles, age spots, a mole."""
    amount = torch.nn.functional.softplus(2.0 * (pen.of("freckles") - 0.8)) * 0.5
    turn = torch.sigmoid(3.0 * pen.of("mole_x"))  # which freckle field: differs between people
    spots = torch.lerp(noise[:, equal_area.OTHER_FRECKLES], noise[:, equal_area.FRECKLES], turn)
    total = 0.022 * (1 + 0.5 * pen.old) * noise[:, equal_area.GRAIN] - (0.10 * amount + 0.04 * pen.old) * spots
    mole_x, mole_y = 0.28 * pen.of("mole_x"), -0.25 + 0.3 * pen.of("mole_y")
    mole = _spot((pen.x - mole_x) / 0.026, (pen.y - mole_y) / 0.026)
    return total - 1.6 * torch.sigmoid(3 * (pen.of("mole_size") - 0.7)) * mole


def wrinkles(pen: Pen) -> Tensor:
    """Return log-albedo darkening (b, h, w) of forehead lines, crow's feet and the frown between the brows."""
    x, y, side = pen.x, pen.y, pen.x.abs()
    above = y - pen.at("eye_y")
    lined = pen.old * (0.75 + 0.25 * pen.of("age_wrinkle")) + 0.25 * pen.now("brow_raise").clamp(min=0)
    ripple = torch.sin(52.0 * y + 1.2 * torch.cos(5.0 * x)) * _spot((y - 0.50) / 0.10, x / 0.36)
    crow = torch.sin(80.0 * above / (0.6 + 2.0 * (side - 0.42).clamp(min=0.0)))
    crow = crow * _spot((side - 0.52) / 0.05, above / 0.09)
    frown = pen.now("brow_frown") + 0.5 * pen.old
    between = _spot((side - 0.045) / 0.014, (y - pen.at("brow_y")) / 0.05)
    return 0.24 * lined * (ripple + crow) - 0.35 * frown * between


def folds(pen: Pen) -> Tensor:
    """Return log-albedo darkening (b, h, w) of the folds from the nose to the corners of the mouth."""
    fold = pen.old * (1 + 0.3 * pen.of("age_sag")) + 0.45 * pen.now("smile").clamp(min=0) + 0.12
    middle = pen.y - (pen.at("mouth_y") + 0.10)
    fold_x = 0.225 + 0.03 * pen.of("mouth_width") - 0.55 * middle
    return -0.38 * fold * _spot((pen.x.abs() - fold_x) / 0.025, middle / 0.085)


def mouth(pen: Pen, colour: Tensor) -> Tensor:
    """Paint lips, the line between them, and an open mouth with teeth."""
    half = pen.at("mouth_half")
    u = (pen.x - pen.at("mouth_x")) / (half * 1.04)
    arch = 1.0 - u * u
    curve = 0.034 * pen.now("smile") + 0.008 * pen.of("mouth_tilt")
    gap = (0.085 * pen.now("mouth_open").clamp(min=0) + 0.018 * pen.now("smile").clamp(min=0)) * arch
    centre = pen.at("mouth_y") - curve * arch
    top, bottom = centre + 0.25 * gap, centre - 0.75 * gap
    bow = 1.0 - (0.30 + 0.12 * pen.of("lip_bow")) * _bell(u / 0.16)
    thin = 1.0 - 0.4 * pen.old
    upper = (0.050 + 0.009 * pen.of("lip_upper")) * thin * bow * arch
    lower = (0.062 + 0.010 * pen.of("lip_lower")) * thin * arch
    y = pen.y
    lips = pen.edge(top + upper - y) * pen.edge(y - bottom + lower) * pen.edge(0.06 * arch + 0.004)
    red = 0.44 + 0.07 * pen.of("lip_red") + 0.8 * pen.now("lip_paint")
    paint = colour * torch.exp(red[:, None] * torch.tensor([-0.55, -1.5, -1.15])[:, None, None])
    upper_shade = 1.0 - 0.18 * pen.edge(y - centre)
    colour = _mix(colour, paint * upper_shade[:, None], 0.9 * lips)
    inside = pen.edge(top - y) * pen.edge(y - bottom) * pen.edge(gap.clamp(min=0) - 0.004)
    colour = _mix(colour, (0.055, 0.014, 0.012), inside)
    teeth = inside * pen.edge(y - bottom - 0.42 * gap) * pen.edge(0.75 - u.abs())
    colour = _mix(colour, (0.62, 0.58, 0.50), 0.9 * teeth)
    line = _bell((y - centre) / (0.011 + 0.35 * pen.soft)) * pen.edge(0.05 * arch + 0.01)
    return colour * (1.0 - 0.62 * line * (1.0 - inside))[:, None]


def nostrils(pen: Pen, colour: Tensor) -> Tensor:
    """Darken the nostrils and the creases around the wings of the nose."""
    side = (pen.x - pen.at("nose_x")).abs()
    wide = 0.058 + 0.009 * pen.of("nose_width")
    y = pen.y - pen.at("nose_y") + 0.055
    hole = _spot((side - wide) / (0.030 + 0.004 * pen.of("nostril")), y / 0.021)
    crease = _spot((side - 2.45 * wide) / 0.026, (y - 0.02) / 0.06)
    return colour * (1.0 - 0.78 * hole - 0.38 * crease)[:, None]


def _iris_colour(p: Person) -> Tensor:
    """Return the linear iris colour (b, 3): blue, green, brown."""
    dark = torch.sigmoid(2.2 * (p.of("eye_dark") + 0.2))[:, None]
    green = torch.sigmoid(2.0 * p.of("eye_green"))[:, None]
    light = torch.lerp(torch.tensor([0.16, 0.30, 0.46]), torch.tensor([0.20, 0.27, 0.13]), green)
    return torch.exp(torch.lerp(light.log(), torch.tensor([0.055, 0.024, 0.010]).log(), dark))


def eyes(pen: Pen, colour: Tensor, gloss: Tensor, light: Tensor) -> tuple[Tensor, Tensor]:
    """Paint lids, lashes, sclera, iris, pupil and the key light's highlight."""
    sign = torch.tanh(pen.x * 50.0)  # both eyes at once, mirrored
    half = 0.132 + 0.009 * pen.of("eye_size") + 0.016 * pen.child
    e = (pen.x.abs() - pen.at("eye_x")) / half
    tilt = 0.012 + 0.011 * pen.of("eye_tilt") - 0.012 * pen.old
    y = pen.y - pen.at("eye_y") - tilt * e - 0.008 * pen.of("skew_eyes") * sign
    lid = 1.0 + 0.13 * pen.of("eye_open") + 0.16 * pen.now("brow_raise").clamp(-1, 2) - 0.18 * pen.old
    lid = (lid + 0.3 * pen.child - 0.35 * pen.now("squint") - 0.12 * pen.now("smile")).clamp(min=0.25)
    wide = 1.0 - pen.now("lid_close").clamp(0.0, 0.95)
    arch = 1.0 - e * e
    upper, lower = (
        (0.053 * lid * wide - 0.012 * (1 - wide)) * arch,
        -0.046 * arch * (0.55 + 0.45 * lid),
    )
    within = torch.sigmoid((1.04 - e.abs()) * 14.0)
    inside = pen.edge(upper - y) * pen.edge(y - lower) * within
    fold = upper + 0.040 - 0.010 * pen.of("lid_fold") - 0.010 * pen.old
    crease = _bell((y - fold) / 0.013) * within * torch.sigmoid(2.0 - 1.6 * pen.of("lid_fold"))
    lash = _bell((y - upper - 0.004) / (0.010 + 0.3 * pen.soft)) * within
    under = _bell((y - lower + 0.003) / 0.010) * within
    shadow = pen.now("eye_shadow") * _spot((y - 0.06) / 0.04, e)
    skin = 1.0 - 0.40 * crease - 0.22 * under - 0.35 * shadow.clamp(max=1.5)
    colour = colour * skin[:, None]
    gaze_x, gaze_y = 0.0022 * pen.now("gaze_x_deg"), 0.0018 * pen.now("gaze_y_deg")
    ix, iy = half * e - sign * gaze_x, y - 0.006 - gaze_y
    far = (ix * ix + iy * iy + 1e-6).sqrt()
    radius = 0.057 + 0.010 * pen.child
    iris, pupil = pen.edge(radius - far), pen.edge(0.42 * radius - far)
    white = torch.tensor([0.66, 0.60, 0.56])[None, :, None, None]
    ball = white * (1.0 - 0.30 * e.square().clamp(max=1.2) - 0.3 * _bell((y - upper) / 0.02))[:, None]
    paint = _iris_colour(pen.p)[:, :, None, None] * (0.55 + 0.8 * (far / radius).clamp(max=1.0)
            * (1.25 - (far / radius).clamp(max=1.0)) * 2.0)[:, None]  # fmt: skip
    ball = _mix(_mix(ball, paint, iris), (0.004, 0.004, 0.004), pupil)
    colour = _mix(colour, ball, inside)
    dark_lash = 0.75 + 0.1 * torch.tanh(-pen.of("sex"))
    colour = colour * (1.0 - dark_lash * lash)[:, None]
    lx, ly = (0.5 * radius * light[:, i, None, None] for i in range(2))
    glint = _spot((sign * ix - lx) / 0.017, (iy - ly.abs() - 0.008) / 0.017) * inside
    return colour + 0.8 * glint[:, None], gloss * (1.0 - 0.7 * inside[:, None])


def brows(pen: Pen, noise: Tensor) -> Tensor:
    """Return the brows' coverage (b, h, w)."""
    side = pen.x.abs()
    start = 0.115 + 0.018 * pen.of("brow_gap")
    span = 0.335 + 0.022 * pen.of("brow_length")
    t = (side - start) / span
    arch = 0.028 + 0.014 * pen.of("brow_arch") + 0.012 * pen.now("brow_raise")
    frown = 0.028 * pen.now("brow_frown") * (1.0 - t).clamp(min=0.0).square()
    middle = pen.at("brow_y") + arch * (1.0 - 4.0 * (t - 0.60).square()) - 0.018 - frown
    middle = middle + 0.014 * pen.of("brow_tilt") * (t - 0.5)
    thick = (0.030 + 0.009 * pen.of("brow_thick") - 0.008 * pen.child).clamp(min=0.010) * (1.12 - 0.75 * t).clamp(
        min=0.1
    )
    cover = pen.edge(thick - (pen.y - middle).abs()) * torch.sigmoid(14 * t) * torch.sigmoid(14 * (1 - t))
    strength = torch.sigmoid(1.6 + 0.5 * pen.of("brow_thick")) * (1 + 0.12 * noise) - 0.25 * pen.child
    return (cover * strength).clamp(0.0, 1.0)


def glasses(pen: Pen, colour: Tensor, gloss: Tensor) -> tuple[Tensor, Tensor]:
    """Paint glasses when the person's tendency plus the style's change asks for them."""
    dark = torch.sigmoid(9.0 * (pen.now("glasses_dark") - 0.6))
    worn = torch.sigmoid(9.0 * (pen.of("glasses") + pen.now("glasses_change") - 1.1))
    worn = torch.maximum(worn, dark) * (pen.z > 0.1)
    a = 0.195 + 0.015 * pen.of("glasses_size")
    tall = a * (0.66 + 0.12 * torch.tanh(pen.of("glasses_round")))
    u, v = (pen.x.abs() - 0.285) / a, (pen.y - pen.at("eye_y") + 0.02) / tall
    power = u.square() * u.square() + v.square() * v.square()
    soft_power = torch.lerp(power, (u * u + v * v).square(),
                            torch.sigmoid(2 * pen.of("glasses_round")))  # fmt: skip
    rim = (soft_power + 1e-4).sqrt().sqrt() - 1.0  # 0 on the frame, in lens units
    dark_frame = torch.sigmoid(2.0 * pen.of("glasses_frame"))  # thick and dark, or thin metal
    width = 0.070 + 0.045 * dark_frame
    frame = torch.sigmoid((width - rim.abs()) * (1.6 * 0.17 / pen.soft))
    bridge = pen.edge(0.016 - (pen.y - pen.at("eye_y") - 0.02).abs()) * pen.edge(0.10 - pen.x.abs())
    arm = pen.edge(0.018 - (pen.y - pen.at("eye_y") - 0.02).abs()) * pen.edge(pen.x.abs() - 0.47)
    colour = _mix(colour, (0.02, 0.02, 0.022), 0.96 * dark * worn * torch.sigmoid(-rim * 14))
    wire = (torch.maximum(torch.maximum(frame, bridge), arm) * worn).clamp(0, 1)
    metal = torch.tensor([0.16, 0.09, 0.04])[:, None, None]
    paint = torch.lerp(metal, torch.tensor(0.02), dark_frame[:, None])
    return _mix(colour, paint, wire), gloss * (1.0 - 0.5 * wire[:, None])
