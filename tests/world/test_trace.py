"""Rays against the projection, and their march against the closed form of a sphere."""

import numpy as np
import torch

from stages.world import equal_area, geometry, identity, style, trace


def test_points_of_a_ray_appear_in_its_pixel() -> None:
    """`rays` inverts `to_image` at every depth, for heads that are turned, near, far and badly aligned."""
    people, styles = identity.sample("test", 0, range(4)), style.sample(np.arange(4), "wild", 1.5)
    person = geometry.person_of(people, styles)
    landmarks = trace.landmarks_head(geometry.skin_radius(person), geometry.layout_of(person))
    view = trace.view_of(person, landmarks)
    origin, step = trace.rays(view, 16)
    row, column = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij")
    pixels = torch.stack([column, row], -1).flatten(0, 1).expand(4, -1, -1)
    for depth in (-0.9, 0.0, 1.3):
        points = (origin + depth * step).flatten(2).transpose(1, 2)
        torch.testing.assert_close(trace.to_image(points, view, 16), pixels, rtol=0, atol=1e-3)


def test_hits_and_their_derivatives_on_a_sphere() -> None:
    """A ray at distance d from the axis meets radius R at sqrt(R^2 - d^2), slope R / depth."""
    radius = torch.tensor(0.9, requires_grad=True)
    maps = radius * torch.ones(1, equal_area.MAP_SIZE, equal_area.MAP_SIZE)
    axis = torch.linspace(0.0, 0.45, 16)  # spaced as at 64 px
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    origin = torch.stack([x, y, torch.zeros_like(x)])[None]
    step = torch.tensor([0.0, 0.0, 1.0])[None, :, None, None].expand_as(origin)
    points, coverage = trace.first_hit(maps, origin, step, 0.03)
    expected = (0.81 - x**2 - y**2).sqrt()
    assert (points[0, 2] - expected).abs().max() < 2e-3
    assert coverage.min() > 0.99
    (slope,) = torch.autograd.grad(points[0, 2].sum(), radius)
    assert abs(float(slope / (0.9 / expected).sum()) - 1) < 0.02


def test_coverage_is_half_on_the_outline() -> None:
    """Coverage falls from 1 inside to 0 outside, and is 1/2 where the ray grazes the sphere."""
    maps = torch.full((1, equal_area.MAP_SIZE, equal_area.MAP_SIZE), 0.9)
    x = torch.tensor([0.8, 0.8, 0.9, 0.9, 1.0, 1.0]).expand(2, 6)
    origin = torch.stack([x, torch.zeros_like(x), torch.zeros_like(x)])[None]
    step = torch.tensor([0.0, 0.0, 1.0])[None, :, None, None].expand_as(origin)
    coverage = trace.first_hit(maps, origin, step, 0.03)[1][0, 0]
    assert coverage[0] > 0.99 and abs(float(coverage[2]) - 0.5) < 0.1 and coverage[4] < 0.01
