"""Render identities in style, as differentiable images or as photographs.

First the heads: `_scene` maps identity and style (b rows of numbers) to what is known of each head before any pixel is
seen: its surface and colours on the chart (`geometry`, `hair`, `albedo`) and its camera (`trace`). Then the pixels: in
`_see` each follows its ray to a point in the head's space (`trace`, head units of 0.1 m), and the point to a place on
the chart (`equal_area.grid_of`, in [-1, 1]). What lies there is looked up, `albedo` and `shading` turn it into linear
radiance and then into display RGB in [0, 1]. Between head and image lie the plane (head units) and the template
(112 pixels a side): see `trace`. To photographs `camera` adds what lens, sensor and file do to them.
"""

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stages.common.errors import InputError
from stages.world import albedo, camera, equal_area, geometry, hair, identity, shading, trace
from stages.world.device import on
from stages.world.geometry import Layout, Person
from stages.world.style import NAMES as STYLE_NAMES
from stages.world.style import limits as style_limits

DOMAINS = ("studio", "wild")
_NORMAL, _SKY, _VISIBLE, _HAIR, _BEARD, _TINT = slice(0, 3), 3, 4, 5, 6, slice(7, 10)  # channels of Scene.maps
_CHUNK = {"cpu": 16, "accelerator": 512}  # heads built at once
_PART_PIXELS = {"cpu": 8 * 112**2, "accelerator": 512 * 112**2}  # seen at once: more do not stay in a CPU's cache


def _check(z: Tensor, style: Tensor, domain: str, size_px: int) -> None:
    """Raise `InputError` for arguments that cannot be rendered."""
    if domain not in DOMAINS:
        raise InputError(None, key="domain", value=domain, allowed=", ".join(DOMAINS))
    if size_px <= 0 or size_px % 16:
        raise InputError(None, key="size_px", value=size_px, allowed="positive multiples of 16")
    for name, value, columns, limits in (("z", z, identity.NAMES, identity.limits()),
                                         ("style", style, STYLE_NAMES, style_limits())):  # fmt: skip
        if value.ndim != 2 or value.shape[1] != len(columns) or len(value) != len(z):
            raise InputError(None, key=f"{name}.shape", value=tuple(value.shape), allowed=f"(b, {len(columns)})")
        if not bool(torch.isfinite(value).all()):
            raise InputError(None, "NaN or infinity", key=name, allowed="finite numbers")
        low, high = torch.tensor(limits, device=value.device).T
        outside = ((value < low - 1e-3) | (value > high + 1e-3)).nonzero()
        if len(outside):
            row, column = outside[0].tolist()
            allowed = f"{limits[column][0]:g} to {limits[column][1]:g}"
            key = f"{name}.{columns[column]}"
            raise InputError(None, f"in row {row}", key=key, value=value[row, column].item(), allowed=allowed)


def landmarks_px(z: Tensor, style: Tensor, size_px: int) -> Tensor:
    """Return where the five landmarks (b, 5, 2) lie in the image, x right, y down, in pixels; on the CPU."""
    p = geometry.person_of(z, style)
    layout = geometry.layout_of(p)
    points = trace.landmarks_head(geometry.skin_radius(p), layout)
    return trace.to_image(points, trace.view_of(p, points), size_px)


@dataclass(frozen=True)
class Scene:
    """Hold heads ready to be seen: all that is computed per head and not per pixel."""

    p: Person
    layout: Layout
    view: trace.View
    light: Tensor  # (b, 3) to the key light, in the head's space
    light_camera: Tensor  # (b, 3), in the camera's
    radius: Tensor  # (b, G, G) of skin and hair
    maps: Tensor  # (b, 10, G, G), what pixels look up


def _scene(z: Tensor, style: Tensor, domain: str) -> Scene:
    """Build the heads, their camera and the maps that their pixels look up."""
    p = geometry.person_of(z, style)
    layout = geometry.layout_of(p)
    skin = geometry.skin_radius(p)
    radius, hairy = hair.dressed(p, skin, geometry.ears(p), hair.growth(p, layout))
    view = trace.view_of(p, trace.landmarks_head(skin, layout))
    light_camera = shading.key_direction(p)
    light = (view.rotation.transpose(1, 2) @ light_camera[..., None])[..., 0]
    lit = geometry.light_visibility(equal_area.resized(radius, equal_area.MAP_SIZE // 2), light,
                                    shading.SHADOW_HARDNESS[domain])  # fmt: skip
    # In the order of the channels that are named above.
    maps = [geometry.normals(radius), geometry.ambient_occlusion(radius)[:, None],
            equal_area.resized(lit, equal_area.MAP_SIZE)[:, None], hairy[:, None],
            hair.beard_density(p, layout)[:, None], albedo.tint_maps(p, layout, domain)]  # fmt: skip
    return Scene(p, layout, view, light, light_camera, radius, torch.cat(maps, 1))


def _see(scene: Scene, domain: str, size_px: int) -> Tensor:
    """Return display RGB (b, 3, size, size) of the heads in front of their backgrounds."""
    p, view = scene.p, scene.view
    pixel = trace.pixel_width(size_px)
    points, coverage = trace.first_hit(scene.radius, *trace.rays(view, size_px), pixel)
    grid = equal_area.grid_of(points)
    maps = equal_area.lookup(scene.maps, grid)  # (b, 10, h, w)
    # A slice for each use: autograd would sum the gradients of one in another order, and last bits would differ.
    normal = maps[:, _NORMAL] / (equal_area.dot(maps[:, _NORMAL], maps[:, _NORMAL]) + 1e-6).sqrt()[:, None]
    noise = equal_area.fine_noise(domain).expand(len(grid), -1, -1, -1)
    x, y = (along * equal_area.CHART_SCALE for along in grid.unbind(1))
    _, head_y, head_z = points.unbind(1)
    pixels = albedo.Pixels(x=x, y=y, head_y=head_y, head_z=head_z, hair=maps[:, _HAIR], beard=maps[:, _BEARD],
                           tint=maps[:, _TINT], noise=equal_area.lookup(noise, grid + hair.parting(p)))  # fmt: skip
    surface = albedo.surface_of(p, scene.layout, pixels, view_light=scene.light_camera, soft=max(0.5 * pixel, 0.006))
    head = shading.shade(p, domain, light=scene.light, rotation=view.rotation, albedo=surface.albedo,
                         gloss=surface.gloss, normal=normal, visible=maps[:, _VISIBLE], sky=maps[:, _SKY])  # fmt: skip
    behind = shading.background(p, domain, size_px)
    return shading.develop(p, domain, torch.lerp(behind, head, coverage[:, None]))


def _rows(tree: Any, rows: slice) -> Any:
    """Return those rows of every tensor in frozen dataclasses that hold tensors and dataclasses."""
    if isinstance(tree, Tensor):
        return tree[rows]
    return replace(tree, **{f.name: _rows(getattr(tree, f.name), rows) for f in fields(tree)})


def _kind(tensor: Tensor) -> str:
    return "cpu" if tensor.device.type == "cpu" else "accelerator"


def _pictures(scene: Scene, count: int, domain: str, size_px: int) -> Tensor:
    """See the first `count` heads, in parts of 2^k images, and perhaps some more to fill the last part."""
    part = 1 << (max(1, _PART_PIXELS[_kind(scene.radius)] // size_px**2).bit_length() - 1)
    starts = range(0, max(1, count), part)
    images = [_see(_rows(scene, slice(i, i + part)), domain, size_px) for i in starts]
    return torch.cat(images) if len(images) > 1 else images[0]


def render(z: Tensor, style: Tensor, domain: str, size_px: int) -> Tensor:
    """Render (b, 3, size, size) display RGB in [0, 1], differentiable in z and style.

    z is (b, IDENTITY_DIM), style (b, STYLE_DIM). Raises `InputError` for an unknown domain, a size
    that is no positive multiple of 16, wrong widths, and numbers that are not finite or out of range.
    """
    _check(z, style, domain, size_px)
    with on(z.device):
        return _pictures(_scene(z, style, domain), len(z), domain, size_px)


def photograph(z: Tensor, style: Tensor, seeds: np.ndarray, domain: str, size_px: int) -> np.ndarray:
    """Photograph (b, size, size, 3) uint8 RGB: `render`, then the camera's flaws by each seed.

    Rendering runs in chunks of fixed size, the last one padded: matrix products may round
    differently for other batch sizes, and so an image's bytes depend on its own row alone.
    """
    _check(z, style, domain, size_px)
    images, chunk = [], _CHUNK[_kind(z)]
    with torch.inference_mode(), on(z.device):
        for start in range(0, len(z), chunk):
            rows = torch.arange(start, start + chunk).clamp(max=len(z) - 1)
            scene = _scene(z[rows], style[rows], domain)
            part = _pictures(scene, min(chunk, len(z) - start), domain, size_px)
            images.append(part[: len(z) - start].permute(0, 2, 3, 1).contiguous().cpu().numpy())
    rendered = np.concatenate(images) if images else np.zeros((0, size_px, size_px, 3), np.float32)
    rows_np = style.detach().cpu().numpy()
    shots = [camera.expose(i, r, int(s)) for i, r, s in zip(rendered, rows_np, seeds, strict=True)]
    return np.stack(shots) if shots else rendered.astype(np.uint8)
