"""Ray marching against the closed form of a sphere."""

import torch

from stages.world import chart, trace


def test_hits_and_their_derivatives_on_a_sphere() -> None:
    """A ray at distance d from the axis meets radius R at sqrt(R^2 - d^2), slope R / depth."""
    radius = torch.tensor(0.9, requires_grad=True)
    maps = radius * torch.ones(1, chart.MAP_SIZE, chart.MAP_SIZE)
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
    maps = torch.full((1, chart.MAP_SIZE, chart.MAP_SIZE), 0.9)
    x = torch.tensor([0.8, 0.8, 0.9, 0.9, 1.0, 1.0]).expand(2, 6)
    origin = torch.stack([x, torch.zeros_like(x), torch.zeros_like(x)])[None]
    step = torch.tensor([0.0, 0.0, 1.0])[None, :, None, None].expand_as(origin)
    coverage = trace.first_hit(maps, origin, step, 0.03)[1][0, 0]
    assert coverage[0] > 0.99 and abs(float(coverage[2]) - 0.5) < 0.1 and coverage[4] < 0.01
