"""The head's colour: low-frequency maps on the chart, then features drawn per pixel."""

from dataclasses import dataclass
from types import EllipsisType

import torch
from torch import Tensor

from stages.world import equal_area, features, hair, identity
from stages.world.geometry import Bumps, Layout, Person

_TEXTURE_STRENGTH = {"studio": 0.04, "wild": 0.05}


@dataclass(frozen=True)
class Pixels:
    """Hold where every pixel lies on the head and what the chart's maps say there; (b, h, w) if no shape is named."""

    x: Tensor  # chart units
    y: Tensor
    head_y: Tensor  # head units
    head_z: Tensor
    hair: Tensor  # logit
    beard: Tensor  # density
    tint: Tensor  # (b, 3, h, w), log-albedo of the skin
    noise: Tensor  # (b, 4, h, w), the fixed fine fields, `equal_area.STREAKS` and so on


@dataclass(frozen=True)
class Surface:
    """Hold what shading needs at every pixel."""

    albedo: Tensor  # (b, 3, h, w), linear
    gloss: Tensor  # (b, 1, h, w), specular strength


def skin_colour(p: Person) -> Tensor:
    """Return the linear base colour (b, 3) of the skin, by melanin and blood."""
    tone = torch.sigmoid(1.25 * (p.of("skin_tone") - 0.85))[:, None]
    light, dark = torch.tensor([0.84, 0.60, 0.485]), torch.tensor([0.125, 0.060, 0.036])
    base = torch.lerp(light.log(), dark.log(), tone)
    blood = (0.06 * p.of("skin_red"))[:, None] * torch.tensor([0.4, -1.0, -0.7])
    carotene = (0.05 * p.of("skin_yellow"))[:, None] * torch.tensor([0.1, 0.15, -1.2])
    return torch.exp(base + blood + carotene)


def tint_maps(p: Person, layout: Layout, domain: str) -> Tensor:
    """Return the log-albedo (b, 3, G, G) of the skin with residual texture, blush and eye rings."""
    coefficients = _TEXTURE_STRENGTH[domain] * p.z[:, identity.TEXTURE]
    residual = (coefficients @ equal_area.texture_bases(domain, identity.TEXTURE_RESIDUALS)).unflatten(1, (3, -1))
    red = Bumps(p.age_years)
    red.pair(0.10 + 0.06 * p.of("blush"), 0.40, -0.10, 0.17, 0.14)
    red.add(0.08 + 0.04 * p.of("blush"), layout.nose_x, layout.nose_y, 0.13, 0.09)
    red.pair(0.20, 1.21, 0.03, 0.10, 0.22)
    ring = Bumps(p.age_years)
    ring.pair(-0.16 - 0.06 * p.of("eye_bag") - 0.1 * p.old, layout.eye_x - 0.03, layout.eye_y - 0.09,
              0.11, 0.045)  # fmt: skip
    ring.pair(-0.14 - 0.05 * p.of("eye_depth"), layout.eye_x - 0.02, layout.eye_y + 0.085, 0.15, 0.045)
    skin = skin_colour(p).log()[:, :, None]
    blood_vein = torch.tensor([[0.15, 0.9], [-1.0, 1.1], [-0.8, 0.9]]).expand(len(residual), 3, 2)
    fields = torch.stack([red.field(), ring.field()], 1)
    return torch.baddbmm(residual + skin, blood_vein, fields.flatten(2)).unflatten(2, fields.shape[2:])


def surface_of(p: Person, layout: Layout, pixels: Pixels, *, view_light: Tensor, soft: float) -> Surface:
    """Return skin, beard, features, hair and clothes at every pixel.

    view_light (b, 3) is the key light in the camera's space, which places the eyes' highlights; soft is an edge's half
    width in chart units.
    """
    pen = features.Pen(p, layout, x=pixels.x, y=pixels.y, z=pixels.head_z, soft=soft)
    streaks, grain = pixels.noise[:, equal_area.STREAKS], pixels.noise[:, equal_area.GRAIN]
    hairs = hair.colour(p)[:, :, None, None]
    colour = torch.exp(pixels.tint + features.marks(pen, pixels.noise)[:, None])
    stubble = torch.sigmoid(5.0 * (pixels.beard + 0.07 * grain + 0.05 * streaks - 0.6))
    stubble = torch.maximum(stubble, 0.75 * pixels.beard.clamp(0, 0.6))
    colour = torch.lerp(colour, hairs * (1 + 0.25 * grain[:, None]).clamp(min=0.3), stubble[:, None])
    gloss = (0.8 + 0.25 * pen.of("skin_gloss"))[:, None].repeat(1, 1, *colour.shape[2:])
    _draw_features(pen, colour, gloss, hairs=hairs, streaks=streaks, view_light=view_light)
    strands = (1.0 + (0.36 + 0.1 * pen.of("hair_curl")[:, None]) * streaks[:, None]).clamp(0.25, 2.2)
    covers = torch.sigmoid(1.5 * pixels.hair + 0.6 * streaks)[:, None]
    colour = torch.lerp(colour, hairs * strands, covers)
    gloss = torch.lerp(gloss, torch.tensor(0.35), covers)
    cloth = torch.sigmoid((-1.27 - pixels.head_y) / 0.02)[:, None] * (1 - covers)
    return Surface(torch.lerp(colour, torch.tensor(0.12), cloth), gloss)


def _draw_features(pen: features.Pen, colour: Tensor, gloss: Tensor, *, hairs: Tensor, streaks: Tensor,
                   view_light: Tensor) -> None:  # fmt: skip
    """Draw wrinkles, mouth, nostrils, eyes, brows and glasses in place, each within its box.

    hairs (b, 3, 1, 1) is the colour of hair, streaks (b, h, w) its fine noise.
    """
    size = colour.shape[2]

    def within(box: features.Box) -> tuple[features.Pen, tuple[slice | EllipsisType, ...]]:
        return pen.within(box), (..., *box.slices(size))

    # Pixels are cloned before use: autograd keeps them, and the next feature is drawn over the originals.
    brow_pen, area = within(features.FOREHEAD)
    colour[area] = colour[area].clone() * torch.exp(features.wrinkles(brow_pen))[:, None]
    mouth_pen, area = within(features.MOUTH)
    lower = colour[area].clone() * torch.exp(features.folds(mouth_pen))[:, None]
    colour[area] = features.nostrils(mouth_pen, features.mouth(mouth_pen, lower))
    eye_pen, area = within(features.EYES)
    upper, gloss[area] = features.eyes(eye_pen, colour[area].clone(), gloss[area].clone(), view_light)
    brow_hairs = hairs * (1.1 - 0.35 * pen.of("brow_dark")[:, None]).clamp(0.2, 2.0)
    colour[area] = torch.lerp(upper, brow_hairs, features.brows(eye_pen, streaks[area])[:, None])
    lens_pen, area = within(features.GLASSES)
    colour[area], gloss[area] = features.glasses(lens_pen, colour[area].clone(), gloss[area].clone())
