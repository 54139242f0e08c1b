"""Light: the two domains' shading models, backgrounds and tone."""

import math

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from stages.common.streams import stream
from stages.world import style
from stages.world.device import constant
from stages.world.geometry import Person

SHADOW_HARDNESS = {"studio": 14.0, "wild": 45.0}
_BACKGROUND_BASES = style.BACKGROUND.stop - style.BACKGROUND.start


def key_direction(p: Person) -> Tensor:
    """Return the key light's direction (b, 3) in the camera frame; neutral is front, 25 deg up."""
    azimuth = p.now("key_azimuth_deg") * (math.pi / 180)
    elevation = (25.0 + p.now("key_elevation_deg")) * (math.pi / 180)
    c = elevation.cos()
    return torch.stack([c * azimuth.sin(), elevation.sin(), c * azimuth.cos()], 1)


def _coloured(warm: Tensor, strength: Tensor | float) -> Tensor:
    """Return a light colour (b, 3, 1, 1): warm > 0 is red, < 0 is blue."""
    shift = torch.tensor([0.22, 0.02, -0.26])
    return (torch.exp(warm[:, None] * shift) * strength)[:, :, None, None]


def _unit(v: Tensor) -> Tensor:
    """Normalise v (b, 3)."""
    return v * (v.square().sum(1, keepdim=True) + 1e-9).rsqrt()


def shade(p: Person, domain: str, *, light: Tensor, rotation: Tensor, albedo: Tensor, gloss: Tensor,
          normal: Tensor, visible: Tensor, sky: Tensor) -> Tensor:  # fmt: skip
    """Return radiance (b, 3, h, w) of head pixels.

    light (b, 3) and normal (b, 3, h, w) are in the head's space, which rotation (b, 3, 3) takes to the camera's;
    albedo is (b, 3, h, w), gloss (b, 1, h, w); visible and sky (b, h, w) are the shares seen of key light and sky.
    Studio is a soft box: wrapped diffuse, white ambient. Wild is a lamp: hard terminator tinted by light under the
    skin, coloured ambient light from above and below, and strong oily highlights.
    """
    wild = domain == "wild"
    _, up, view = rotation.unbind(1)  # the camera's axes seen from the head
    half = _unit(light + view)
    axes = torch.stack([light, half, up, view], 1)
    facing, mirror, high, edge_on = (axes @ normal.flatten(2)).unflatten(2, normal.shape[2:]).unbind(1)
    key = _coloured(p.now("warmth"), torch.exp2(p.now("key_stops"))[:, None])
    if wild:
        lit = facing.clamp(min=0.0) * visible
        # Blood scatters red light past the terminator: a band where facing is near 0.
        red = (1.0 - facing.square()).clamp(min=0.0).square().square().square() * (0.2 + 0.8 * visible)
        blood = key * torch.tensor([0.11, 0.025, 0.012])[:, None, None]
        light_in = torch.addcmul(1.1 * key * lit[:, None], blood, red[:, None])
        red_in, blue_in = p.now("ambient_red"), p.now("ambient_blue")
        tint = torch.stack([red_in, -0.2 * (red_in + blue_in), blue_in], 1)[:, :, None, None]
        ambient, open_sky = torch.exp(0.28 * tint * (0.4 + high)[:, None]), (0.38 + 0.14 * high) * sky
        shine, power = 0.20, 4
    else:
        lit = ((facing + 0.30) * (1.12 / 1.30)).clamp(min=0.0) * (0.2 + 0.8 * visible)
        light_in = key * lit[:, None]
        tint = torch.stack([p.now("ambient_red"), torch.zeros_like(p.age_years), p.now("ambient_blue")], 1)
        ambient, open_sky = 0.44 * torch.exp(0.15 * tint)[:, :, None, None], (0.85 + 0.15 * high) * sky
        shine, power = 0.07, 3
    for _ in range(power):
        mirror = mirror * mirror
    fresnel = (1.0 - edge_on.clamp(0, 1)).square().square()
    towards = (20.0 * facing).clamp(0.0, 1.0)  # no highlights on sides that the light cannot reach
    spec = torch.addcmul((0.3 * shine) * fresnel, mirror, visible * towards, value=shine)[:, None] * gloss
    rim = p.now("rim")[:, None, None] * fresnel * (0.25 + 0.25 * high)
    light_in = torch.addcmul(light_in, ambient, open_sky[:, None]) + rim[:, None]
    return torch.addcmul(key * spec, albedo, light_in)


@constant
def _background_bases(domain: str, size_px: int) -> Tensor:
    """Return smooth colour fields (k, 3 * size * size); the wild domain's are finer and harder."""
    rng = stream("background", sum(domain.encode()))
    cells = 3 if domain == "studio" else 6
    coarse = torch.from_numpy(rng.standard_normal((_BACKGROUND_BASES, 3, cells, cells))).float()
    grey = coarse.mean(1, keepdim=True) * 1.7
    fields = torch.lerp(grey, coarse, 0.15 if domain == "studio" else 0.18)
    fine = F.interpolate(fields, size=(size_px, size_px), mode="bicubic", align_corners=True)
    return fine.flatten(1) / math.sqrt(_BACKGROUND_BASES)


def background(p: Person, domain: str, size_px: int) -> Tensor:
    """Return the radiance (b, 3, size, size) behind the head."""
    contrast = 0.6 if domain == "studio" else 0.8
    coefficients = contrast * p.s[:, style.BACKGROUND]
    field = (coefficients @ _background_bases(domain, size_px)).unflatten(1, (3, size_px, size_px))
    warm, green = p.now("background_warm"), p.now("background_green")
    hue = torch.stack([0.35 * warm, 0.25 * green, -0.35 * warm], 1)[:, :, None, None]
    # The device is named: transformers replaces torch.linspace for a while, and torch's context may miss it then.
    fall = torch.linspace(0.3, -0.4, size_px, device=p.s.device)[:, None]  # a wall lit from above
    level = fall + (-1.2 + 0.5 * p.now("background_light"))[:, None, None, None]
    return torch.exp((level + 0.5 * hue + field).clamp(-6.0, 0.6))


def _tone(p: Person, domain: str) -> tuple[Tensor, Tensor]:
    """Return saturation and contrast as one affine map of display RGB, (b, 3, 3) and (b, 3, 1)."""
    keep = torch.exp(0.3 * p.now("saturation"))[:, None, None]
    slope = torch.exp(0.22 * p.now("contrast") + (0.12 if domain == "wild" else 0.0))[:, None, None]
    mix = slope * (keep * torch.eye(3) + (1.0 - keep) / 3.0)
    return mix, (0.45 * (1.0 - slope)).expand(-1, 3, 1)


def develop(p: Person, domain: str, radiance: Tensor) -> Tensor:
    """Turn radiance (b, 3, h, w) into display RGB in [0, 1]: exposure, balance, tone, vignette."""
    warm, green = p.now("balance_warm"), p.now("balance_green")
    gain = torch.stack([0.16 * warm, 0.10 * green, -0.20 * warm], 1)
    if domain == "wild":
        gain = gain + torch.tensor([0.04, 0.0, -0.06])  # this camera's own cast
    stops = (p.now("exposure_stops") * math.log(2.0))[:, None]
    gain = torch.exp(gain + stops)
    mix, offset = _tone(p, domain)
    if domain == "wild":
        size = radiance.shape[-1]
        axis = torch.linspace(-1.0, 1.0, size, device=p.s.device).square()
        away = (axis[:, None] + axis[None, :]) * 0.5
        fall = (0.18 + 0.35 * p.now("vignette")).clamp(max=0.95)[:, None, None]
        # A shoulder, x (1 + .18 x) / (1 + .42 x), rolls highlights off: u + 4/3 u / (1 + u) by u = .42 x and / .98.
        gain = 0.42 * gain
        u = radiance * torch.baddbmm(gain[..., None], gain[..., None], -fall * away.view(1, -1)).view_as(radiance)
        lin = torch.addcdiv(u, u, 1.0 + u, value=4.0 / 3.0)
        mix = mix / math.sqrt(0.98)
    else:
        lin = radiance * gain[:, :, None, None]
    display = lin.clamp(1e-4, 1.3).sqrt()
    return torch.baddbmm(offset, mix, display.flatten(2)).view_as(display).clamp(0.0, 1.0)
