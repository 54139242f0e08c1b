"""The paper's loop against a step by hand, and its twin against autograd."""

import numpy as np
import pytest
import torch
from packing.instances import gallery

from stages.common import sphere
from stages.packing import reference as published
from stages.packing.objective import objective

READINGS = ["closest", "mean"]


def nothing(step: int, x: torch.Tensor) -> None:
    """Look at no step."""


@pytest.mark.parametrize("reading", READINGS)
def test_loss_is_the_objective(reading: str):
    x, x_ref = gallery(30), gallery(50, seed=1)
    value = published.loss(torch.from_numpy(x), torch.from_numpy(x_ref), 0.7, reading)
    assert float(value) == pytest.approx(objective(x, x_ref, 0.7, reading).value, abs=1e-6)


@pytest.mark.parametrize("reading", READINGS)
def test_gradient_equals_autograd(reading: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(published, "products_dtype", lambda: torch.float64)
    x = torch.from_numpy(gallery(30)).double().requires_grad_()
    published.loss(x, x.detach(), 0.0, reading).backward()
    assert x.grad is not None
    gradient = published.separation_gradient(x.detach(), reading)
    assert torch.allclose(gradient - (gradient * x.detach()).sum(1, keepdim=True) * x.detach(), x.grad)


@pytest.mark.parametrize("loop", [published.reference, published.twin])
def test_first_step_by_hand(loop):
    """Adam's first step is the rate times the sign of the gradient, here that of the pair 0, 1 and of the targets."""
    x = torch.tensor([[1.0, 0, 0], [0.6, 0.8, 0], [0, 0, 1.0]])
    target = torch.tensor([[0.8, 0.0, 0.6], [0.0, 1.0, 0.0], [0.0, -0.6, 0.8]])
    gradient = -0.5 / 3 * target
    gradient[0] += x[1]
    gradient[1] += x[0]
    gradient -= (gradient * x).sum(1, keepdim=True) * x  # along the sphere
    expected = sphere.unit_rows((x - 0.01 * torch.sign(gradient)).numpy())
    assert np.allclose(loop(x, target, 0.5, "closest", 1, 0.01, nothing).numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("reading", READINGS)
def test_the_twin_goes_where_the_reference_goes(reading: str):
    x_ref = gallery(200)
    x = torch.from_numpy(x_ref[:50])
    at_start = objective(x_ref[:50], x_ref, 0.5, reading).value
    ends = [
        objective(loop(x, torch.from_numpy(x_ref), 0.5, reading, 100, 0.02, nothing).numpy(), x_ref, 0.5, reading).value
        for loop in (published.reference, published.twin)
    ]
    assert ends[0] < 0.9 * at_start
    assert ends[1] == pytest.approx(ends[0], abs=0.03)
