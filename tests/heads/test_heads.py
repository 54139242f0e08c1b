"""Every head against a written-out reference, its gradient, and its limits."""

import math
from typing import get_type_hints

import numpy as np
import pytest
import torch
from torch.nn import functional

from stages.settings.train import Head
from stages.training.heads import load

HEADS = get_type_hints(Head)["name"].__args__
CLASSES, D, B, SCALE, MARGIN = 7, 5, 9, 11.0, 0.35


def case(name: str, margin: float = MARGIN, seed: int = 0):
    torch.manual_seed(seed)
    head = load(name, CLASSES, D, SCALE, margin)
    embedding = 3 * torch.randn(B, D)
    label_a, label_b = torch.randint(CLASSES, (2, B))
    return head, embedding, label_a, label_b, torch.rand(B)


def reference(name: str, weight: np.ndarray, x: np.ndarray, label: int) -> float:
    """Return one sample's loss, written out; angles stay below pi - margin in these tests."""
    cos = [float(x @ w / np.linalg.norm(x) / np.linalg.norm(w)) for w in weight]
    margin = {"cosface": lambda c: c - MARGIN, "arcface": lambda c: math.cos(math.acos(c) + MARGIN)}[name]
    logits = [SCALE * (margin(c) if i == label else c) for i, c in enumerate(cos)]
    return math.log(sum(math.exp(value) for value in logits)) - logits[label]


@pytest.mark.parametrize("name", HEADS)
def test_equals_the_written_out_loss(name):
    head, x, a, b, ratio = case(name)
    weight = head.weight.detach().numpy()
    expected = [
        float(r) * reference(name, weight, row, int(i)) + (1 - float(r)) * reference(name, weight, row, int(j))
        for row, i, j, r in zip(x.numpy(), a, b, ratio, strict=True)
    ]
    assert np.allclose(head(x, a, b, ratio).detach().numpy(), expected, atol=1e-4)


@pytest.mark.parametrize("name", HEADS)
def test_gradient_equals_finite_differences(name):
    head, x, a, b, ratio = case(name)
    head = head.double()
    x, ratio, direction = x.double().requires_grad_(), ratio.double(), torch.randn(B, D, dtype=torch.float64)
    head(x, a, b, ratio).sum().backward()
    assert x.grad is not None
    step = 1e-5
    ends = [head(x.detach() + sign * step * direction, a, b, ratio).sum().item() for sign in (1, -1)]
    assert float((x.grad * direction).sum()) == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-5)


@pytest.mark.parametrize("name", HEADS)
def test_without_margin_it_is_plain_softmax(name):
    head, x, a, _, ratio = case(name, margin=0)
    cos = functional.normalize(x) @ functional.normalize(head.weight).T
    expected = functional.cross_entropy(SCALE * cos, a, reduction="none")
    assert torch.allclose(head(x, a, a, ratio), expected, atol=1e-5)


@pytest.mark.parametrize("name", HEADS)
def test_margin_can_be_set_and_costs(name):
    head, x, a, _, ratio = case(name, margin=0)
    easy = head(x, a, a, ratio)
    head.margin = MARGIN
    assert (head(x, a, a, ratio) > easy).all()


@pytest.mark.parametrize("name", HEADS)
def test_equal_labels_have_exactly_the_plain_loss(name):
    head, x, a, b, ratio = case(name)
    mixed = head(x, a, torch.where(torch.arange(B) < 4, a, b), ratio)
    assert torch.equal(mixed[:4], head(x, a, a, torch.ones(B))[:4])
    assert torch.allclose(mixed[4:], ratio[4:] * head(x, a, a, ratio)[4:] + (1 - ratio[4:]) * head(x, b, b, ratio)[4:])


def test_arcface_falls_with_the_angle_up_to_pi_and_keeps_its_gradient():
    head = load("arcface", CLASSES, D, SCALE, 0.5)
    cos = torch.cos(torch.linspace(0, math.pi, 500))[:, None].requires_grad_()
    target = head.target(cos)
    assert (target.diff(dim=0) < 0).all()
    target.sum().backward()
    assert cos.grad is not None and torch.isfinite(cos.grad).all() and (cos.grad >= 0).all()
    t = torch.tensor([[1.2]])
    assert head.target(t.cos()).item() == pytest.approx(math.cos(1.7), abs=1e-6)
    t = torch.tensor([[3.0]])  # beyond pi - margin
    assert head.target(t.cos()).item() == pytest.approx(math.cos(3) - 0.5 * math.sin(0.5), abs=1e-6)


@pytest.mark.parametrize("d", [16, 256])
def test_class_weights_begin_short_whatever_their_size(d):
    assert load("cosface", 400, d, SCALE, 0).weight.norm(dim=1).mean().item() == pytest.approx(0.1, rel=0.05)
