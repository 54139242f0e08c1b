"""Decay, momentum and the way of the learning rate."""

from typing import Any

import numpy as np
import pytest
import torch
import trainings
from torch import nn

from stages.training import optimisers


def rates(points: int = 101, length: float = 1, **schedule: Any) -> np.ndarray:
    """Return the learning rate at evenly spaced moments of a training, of its peak."""
    changes = {f"schedule.{key}": value for key, value in schedule.items()}
    cfg = trainings.cfg(epochs=length if length > 1 else 0, **changes).schedule
    return np.array([optimisers.rate(t, length, cfg) for t in np.linspace(0, length, points)])


@pytest.mark.parametrize("name", ["cosine", "polynomial"])
def test_the_rate_rises_in_every_step_and_ends_at_zero(name: str):
    rate = rates(name=name)
    assert rate.max() == pytest.approx(1) and rate[0] == pytest.approx(0.1) and rate[-1] == pytest.approx(0, abs=1e-9)
    assert rate.argmax() == 10 and np.allclose(np.diff(rate[:11]), 0.09) and (np.diff(rate[10:]) < 0).all()


def test_a_polynomial_is_a_power_of_what_is_left():
    assert rates(points=5, name="polynomial", warm_up=0, power=2) == pytest.approx([1, 0.5625, 0.25, 0.0625, 0])


def test_steps_drop_by_a_factor_after_so_many_passes():
    rate = rates(points=27, length=26, name="steps", warm_up=0, drops=[12, 20, 24], factor=0.1)
    assert rate == pytest.approx([1] * 12 + [0.1] * 8 + [0.01] * 4 + [0.001] * 3)


def stepped(**changes: Any) -> dict[str, float]:
    """Return the factor by which two steps without a gradient multiply every parameter, by name."""
    cfg = trainings.cfg(learning_rate=0.1, **{"optimiser.weight_decay": 0.5}, **changes)
    parts = nn.Sequential(nn.Linear(3, 4), nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3))
    for p in parts.parameters():
        p.data.fill_(2.0)
        p.grad = torch.zeros_like(p)
    optimiser = optimisers.build(parts, cfg.optimiser, cfg.learning_rate)
    for _ in range(2):
        optimiser.step()
    return {name: p.mean().item() / 2 for name, p in parts.named_parameters()}


@pytest.mark.parametrize(("name", "twice"), [("adamw", 0.95**2), ("sgd", 0.95 * (1 - 0.05 - 0.05 * 0.9 / 0.95))])
def test_gains_and_offsets_decay_only_where_they_are_not_exempt(name: str, twice: float):
    names = {"optimiser.name": name}
    exempt, all_decay = stepped(**names), stepped(**names, **{"optimiser.exempt": False})
    assert {name for name, factor in exempt.items() if factor == pytest.approx(1)} == {
        "0.bias", "1.bias", "2.weight", "2.bias",
    }  # fmt: skip
    assert [exempt["0.weight"], exempt["1.weight"]] == pytest.approx([twice] * 2)
    assert list(all_decay.values()) == pytest.approx([twice] * 6)
