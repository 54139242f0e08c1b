"""Hair and beard: where they grow on the chart, how thick they stand, and their colour."""

import torch
from torch import Tensor

from stages.world import equal_area
from stages.world.geometry import Layout, Person, ellipsoid


def baldness(p: Person) -> Tensor:
    """Return 0 (full hair) to 1 (bald on top), (b,): male coordinates, rising with age."""
    drive = 1.1 * p.of("baldness") + 0.4 * p.of("age_hairloss") * p.old + 0.6 * p.of("sex")
    return torch.sigmoid(2.5 * (drive - 2.6 + 0.022 * (p.age_years - 35.0)))


def length(p: Person) -> Tensor:
    """Return 0 (cropped) to 1 (falling past the jaw), (b,)."""
    return torch.sigmoid(3.5 * (p.of("hair_length") + p.now("hair_length_change") - 0.1))


def growth(p: Person, layout: Layout) -> Tensor:
    """Return the logit map (b, G, G) of scalp hair: positive where it grows or hangs."""
    axis = equal_area.texel_axis()
    x, y = axis[None, None, :], axis[None, :, None]
    side = x.abs()
    long, bald = length(p)[:, None, None], baldness(p)[:, None, None]
    fringe = (p.of("hair_fringe") + p.now("hair_fringe_change"))[:, None, None]
    parting = (p.of("hair_parting") + p.now("hair_parting_change"))[:, None, None]
    line = layout.hairline_y[:, None, None] - 0.17 * torch.sigmoid(2.0 * (fringe - 0.9)) * (1 - bald)
    line = line + 0.05 * torch.tanh(parting) * x / 0.4 + 0.06 * torch.tanh(fringe) * (side - 0.25)
    temple = torch.sigmoid((side - (0.60 + 0.04 * long)) / 0.07)
    cheek = torch.sigmoid((side - 0.86 + 0.05 * long) / 0.05)
    inward = 0.65 * (-0.42 - y).clamp(min=0.0)  # below the jaw long hair closes in on the neck
    back = torch.sigmoid((side - 1.30 + (0.34 + inward) * long) / 0.045)
    line = line - 0.26 * temple - 0.26 * cheek - (0.25 + 1.2 * long) * back
    logit = (y - line) / 0.045
    top = torch.sigmoid((0.86 - side) / 0.07) * torch.sigmoid((y - 0.2) / 0.07)
    return logit.clamp(-6.0, 6.0) - 14.0 * bald * top


def parting(p: Person) -> Tensor:
    """Return by how much the strands' fan is moved on the sampling grid, (b, 2, 1, 1)."""
    x = 0.13 * torch.tanh(p.of("hair_parting") + p.now("hair_parting_change"))
    return torch.stack([x, 0.04 * p.of("hairline")], 1)[:, :, None, None]


def dressed(p: Person, radius: Tensor, ears: Tensor, logit: Tensor) -> tuple[Tensor, Tensor]:
    """Return the radius map (b, G, G) with hair and ears on, and the logit map of what shows as hair.

    Hair is a coat over the scalp and long hair's fall, which shows as hair wherever it stands off the skin. Ears stand
    out of the bald head's radius by the map `ears`, except under hair.
    """
    covers = torch.sigmoid(logit - 0.5)
    drape = torch.sigmoid(0.45 * logit - 1.0)  # softer: long hair stands far off the skin
    volume = p.of("hair_volume") + p.now("hair_volume_change") + 0.5 * p.of("hair_curl").clamp(min=0)
    long = length(p)
    thick = 0.035 + 0.055 * torch.sigmoid(volume) + 0.02 * long
    wide = 0.80 + 0.035 * volume
    fall = ellipsoid(p.age_years, (0.0, -0.55, -0.28), (wide, 1.75, 0.74))
    hang = (fall - radius).clamp(min=0.0) * long[:, None, None]
    rise = (0.6 + 0.4 * torch.sigmoid(0.5 * logit - 2.0)) * thick[:, None, None]
    fallen = drape * hang
    hair_logit = logit + (60.0 * fallen).clamp(max=4.0)
    return radius + torch.maximum(covers * rise, fallen) + (1 - covers) * ears, hair_logit


def beard_density(p: Person, layout: Layout) -> Tensor:
    """Return the beard's density map (b, G, G), about 0 to 1, before hair noise.

    One region from sideburn to sideburn, below a line that runs from the ears to the corners of the mouth.
    """
    drive = p.of("beard") + p.now("beard_change") + 0.5 * (p.of("sex") - 1.0)
    grown = (1 - p.child)[:, None, None]
    full = torch.sigmoid(2.5 * (drive - 1.0))[:, None, None]
    lip = torch.sigmoid(2.5 * (0.6 * drive + p.of("moustache") - 1.6))[:, None, None]
    shadow = 0.25 * torch.sigmoid(3.0 * p.of("sex"))[:, None, None]
    axis = equal_area.texel_axis()
    side, y = axis.abs()[None, None, :], axis[None, :, None]
    mouth_y, half = layout.mouth_y[:, None, None], layout.mouth_half[:, None, None]
    line = mouth_y + 0.02 + 0.60 * ((side - half - 0.10) / 0.55).clamp(0.0, 1.0).square()
    cheek = torch.sigmoid((line - y) / 0.035) * torch.sigmoid((0.92 - side) / 0.05)
    above = torch.exp(-(((y - mouth_y - 0.095) / 0.050).square() + (side / 0.24).square() ** 2).clamp(max=16.0))
    lips = torch.exp(-(((y - mouth_y + 0.01) / 0.075).square() + (side / half) ** 4).clamp(max=16.0))
    region = torch.maximum(cheek * (1 - lips), above)
    moustache = torch.maximum(lip, full) * above
    return grown * torch.maximum(torch.maximum(full, shadow) * region, moustache)


def colour(p: Person) -> Tensor:
    """Return the linear hair colour (b, 3): from blond to black, red, greying with age or dye."""
    dark = torch.sigmoid(1.3 * (p.of("hair_dark") + 0.5))
    red = torch.sigmoid(2.0 * (p.of("hair_red") + p.now("hair_dye") - 1.3)) * (1 - 0.6 * dark)
    blond, black = torch.tensor([0.58, 0.40, 0.20]), torch.tensor([0.012, 0.010, 0.009])
    copper = torch.tensor([0.36, 0.10, 0.03])
    base = torch.exp(torch.lerp(blond.log(), black.log(), dark[:, None]))
    base = torch.lerp(base, copper, red[:, None])
    start = 58.0 + 7.0 * p.of("age_grey") - 6.0 * p.now("hair_dye").clamp(max=0.0)
    grey = torch.sigmoid((p.age_years - start) / 5.0)
    return torch.lerp(base, torch.tensor([0.42, 0.42, 0.43]), 0.95 * grey[:, None])
