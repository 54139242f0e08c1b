"""Every head against a written-out reference, its gradient, and its limits."""

import inspect
import math
from typing import get_type_hints

import numpy as np
import pytest
import torch
from torch.nn import functional

from stages.common.errors import InputError
from stages.training.heads import MarginHead, check_options, class_of, guessing, load
from stages.training.settings import Head

HEADS = get_type_hints(Head)["name"].__args__
CLASSES, D, B, SCALE, MARGIN = 7, 5, 9, 11.0, 0.35


def case(name: str, margin: float = MARGIN, seed: int = 0):
    torch.manual_seed(seed)
    head = load(name, CLASSES, D, SCALE, margin)
    embedding = 30 * torch.randn(B, D)  # norms on either side of MagFace's and AdaFace's bounds
    label_a, label_b = torch.randint(CLASSES, (2, B))
    return head, embedding, label_a, label_b, torch.rand(B)


def angular(cos: float, margin: float) -> float:
    angle = math.acos(cos) + margin
    return math.cos(angle) if angle < math.pi else cos - margin * math.sin(margin)


def reference(name: str, weight: np.ndarray, x: np.ndarray, labels: np.ndarray, ratio: np.ndarray) -> list[float]:
    """Return the losses of the first batch that a head sees, written out sample by sample; labels (2, b)."""
    norms = np.linalg.norm(x, axis=1)
    cos = x @ weight.T / norms[:, None] / np.linalg.norm(weight, axis=1)
    clipped = norms.clip(1e-3, 100)
    mean, sd = 0.99 * 20 + 0.01 * clipped.mean(), 0.99 * 100 + 0.01 * clipped.std(ddof=1)
    targets = np.take_along_axis(cos, labels.T, 1)
    t_mean = 0.01 * (ratio * targets[:, 0] + (1 - ratio) * targets[:, 1]).mean()

    def loss(row: np.ndarray, label: int, norm: float) -> float:
        a, c = min(max(norm, 10), 110), row[label]
        q = min(max(0.333 * (min(norm, 100) - mean) / (sd + 1e-3), -1), 1)
        target = {
            "cosface": c - MARGIN,
            "arcface": angular(c, MARGIN),
            "adaface": math.cos(math.acos(c) - MARGIN * q) - MARGIN * (1 + q),
            "magface": angular(c, MARGIN * (0.45 + 0.35 * (a - 10) / 100) / 0.8),
            "curricularface": angular(c, MARGIN),
            "uniface": c - MARGIN,
        }[name]
        others = np.delete(row, label)
        if name == "curricularface":
            others = np.where(others > target, others * (t_mean + others), others)
        if name == "uniface":
            bias = math.log(10 * CLASSES)
            return math.log1p(math.exp(bias - SCALE * target)) + np.log1p(np.exp(SCALE * others - bias)).sum()
        added = 35 * (a / 110**2 + 1 / a) if name == "magface" else 0
        return math.log(math.exp(SCALE * target) + np.exp(SCALE * others).sum()) - SCALE * target + added

    return [
        r * loss(row, i, norm) + (1 - r) * loss(row, j, norm)
        for row, norm, (i, j), r in zip(cos, norms, labels.T, ratio, strict=True)
    ]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", HEADS)
def test_equals_the_written_out_loss(name, seed):
    head, x, a, b, ratio = case(name, seed=seed)
    weight, labels = head.weight.detach().double().numpy(), torch.stack([a, b]).numpy()
    expected = reference(name, weight, x.double().numpy(), labels, ratio.numpy())
    assert np.allclose(head(x, a, b, ratio).detach().numpy(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", HEADS)
def test_gradient_equals_finite_differences(name):
    head, x, a, b, ratio = case(name)
    head(x, a, b, ratio)  # statistics away from where they start
    head, x, ratio = head.double().eval(), x.double(), ratio.double()
    norm = x.norm(dim=1, keepdim=True)

    def loss(x: torch.Tensor, *parameters: torch.Tensor) -> torch.Tensor:
        if name == "adaface":  # its quality has no gradient, so the norms must stay
            x = norm * functional.normalize(x)
        values = {key: value for (key, _), value in zip(head.named_parameters(), parameters, strict=True)}
        return torch.func.functional_call(head, values, (x, a, b, ratio))

    assert torch.autograd.gradcheck(loss, (x.requires_grad_(), *head.parameters()), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", HEADS)
def test_magface_alone_pulls_at_the_length_of_an_embedding(name):
    head, x, a, b, ratio = case(name)
    head(x.requires_grad_(), a, b, ratio).sum().backward()
    assert x.grad is not None
    along = (x.grad * functional.normalize(x.detach())).sum(1).abs().max().item()
    assert (along > 1e-3) == (name == "magface") and (along < 1e-5) == (name != "magface")


@pytest.mark.parametrize("name", [name for name in HEADS if name not in ("curricularface", "uniface")])
def test_without_margin_it_is_softmax_and_penalty(name):
    head, x, a, _, ratio = case(name, margin=0)
    cos = functional.normalize(x) @ functional.normalize(head.weight).T
    expected = functional.cross_entropy(SCALE * cos, a, reduction="none")
    penalty = head.penalty(x.norm(dim=1, keepdim=True))
    assert (penalty is None) == (name != "magface")
    assert torch.allclose(head(x, a, a, ratio), expected + (0 if penalty is None else penalty[:, 0]), atol=1e-5)


@pytest.mark.parametrize("name", HEADS)
def test_margin_can_be_set_and_costs(name):
    head, x, a, _, ratio = case(name, margin=0)
    easy = head(x, a, a, ratio)
    head.margin = MARGIN
    assert (head(x, a, a, ratio) > easy).all()


@pytest.mark.parametrize("name", HEADS)
def test_equal_labels_have_exactly_the_plain_loss(name):
    head, x, a, b, ratio = case(name)
    head.eval()
    mixed = head(x, a, torch.where(torch.arange(B) < 4, a, b), ratio)
    assert torch.equal(mixed[:4], head(x, a, a, torch.ones(B))[:4])
    assert torch.allclose(mixed[4:], ratio[4:] * head(x, a, a, ratio)[4:] + (1 - ratio[4:]) * head(x, b, b, ratio)[4:])


@pytest.mark.parametrize("name", HEADS)
def test_extreme_batches_stay_finite(name):
    """One sample, embeddings of no length or a huge one, on and opposite to their class weight."""
    head, x, a, b, ratio = case(name)
    head.scale, head.margin = 1000.0, 2.0
    along = head.weight.detach()[a]
    parameters = [*head.parameters()]
    for batch in (x[:1], 0 * x, 1e6 * x, 1e3 * along, -1e3 * along):
        batch = batch.clone().requires_grad_()
        n = len(batch)
        loss = head(batch, a[:n], b[:n], ratio[:n])
        loss.sum().backward()
        gradients = [t.grad for t in (batch, *parameters) if t.grad is not None]
        assert len(gradients) == 1 + len(parameters) and loss.dtype == torch.float32
        assert all(t.isfinite().all() for t in (loss, *gradients, *head.buffers()))


def statistics(head: MarginHead) -> list[float]:
    return [buffer.item() for buffer in head.buffers()]


@pytest.mark.parametrize("name", ["adaface", "curricularface"])
def test_statistics_move_once_in_a_step_and_only_in_training(name):
    head, x, a, _, ratio = case(name)
    seen = [statistics(head)]
    for step in (None, None, 4, 4, 5):
        head.step = step
        head(x, a, a, ratio)
        seen.append(statistics(head))
    assert [before != after for before, after in zip(seen, seen[1:], strict=False)] == [True, True, True, False, True]
    head.eval().step = 6
    head(x, a, a, ratio)
    assert statistics(head) == seen[-1] and len(head.state_dict()) == 1 + len(seen[-1])


def test_one_sample_leaves_the_means_of_adaface_alone():
    head, x, a, _, ratio = case("adaface")
    head(x[:1], a[:1], a[:1], ratio[:1])
    assert statistics(head) == [20, 100]


def test_adaface_keeps_the_mean_and_the_unbiased_deviation_of_clipped_norms():
    head = load("adaface", CLASSES, D, SCALE, MARGIN, t_alpha=1.0)
    x = torch.tensor([[30.0], [60.0], [300.0]]).expand(3, D) / D**0.5
    labels = torch.arange(3)
    head(x, labels, labels, torch.ones(3))
    assert statistics(head) == pytest.approx([190 / 3, np.std([30, 60, 100], ddof=1)])


def test_adaface_goes_from_an_angular_to_a_cosine_margin_with_the_norm():
    head = load("adaface", CLASSES, D, SCALE, 0.4, h=1000.0).eval()
    cos, long, short = torch.tensor([[0.3]]), torch.tensor([[90.0]]), torch.tensor([[1.0]])
    assert head.target(cos, long).item() == pytest.approx(math.cos(math.acos(0.3) - 0.4) - 0.8, abs=1e-5)
    assert head.target(cos, short).item() == pytest.approx(math.cos(math.acos(0.3) + 0.4), abs=1e-5)
    assert head.target(0 * cos + 1, long).item() == pytest.approx(1 - 0.8, abs=1e-5)  # an angle ends at 0
    assert head.target(0 * cos - 1, short).item() == pytest.approx(-1, abs=1e-5)  # and at pi


def test_magface_has_the_margins_of_its_paper_and_rewards_length():
    head = load("magface", CLASSES, D, SCALE, 0.8)
    norm = torch.tensor([[3.0], [10.0], [60.0], [110.0], [500.0]])
    moved = head.target(torch.full((5, 1), math.cos(0.7)), norm)[:, 0].acos() - 0.7
    assert moved.tolist() == pytest.approx([0.45, 0.45, 0.625, 0.8, 0.8], abs=1e-5)
    penalty = head.penalty(norm)
    assert penalty is not None and (penalty.diff(dim=0)[1:3] < 0).all()
    assert penalty[1].item() == pytest.approx(35 * (10 / 110**2 + 1 / 10))


@pytest.mark.parametrize("name", ["arcface", "magface", "curricularface"])
def test_an_angular_margin_falls_with_the_angle_up_to_pi_and_keeps_its_gradient(name):
    head = load(name, CLASSES, D, SCALE, 0.5)
    cos = torch.cos(torch.linspace(0, math.pi, 500))[:, None].requires_grad_()
    norm = torch.full((500, 1), 110.0)
    target = head.target(cos, norm)
    assert (target.diff(dim=0) < 0).all()
    target.sum().backward()
    assert cos.grad is not None and torch.isfinite(cos.grad).all() and (cos.grad >= 0).all()
    for t, expected in [(1.2, math.cos(1.7)), (3.0, math.cos(3) - 0.5 * math.sin(0.5))]:  # 3 is beyond pi - margin
        assert head.target(torch.tensor([[math.cos(t)]]), norm[:1]).item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", HEADS)
def test_guessing_costs_what_a_right_angle_to_all_classes_does(name):
    weight, x = np.tile([1.0, 0.0], (CLASSES, 1)), np.tile([0.0, 1.0], (2, 1))
    expected = reference(name, weight, x, np.zeros((2, 2), int), np.ones(2))
    state = torch.get_rng_state()
    assert guessing(name, CLASSES, SCALE, MARGIN) == pytest.approx(expected[0], rel=0.01)  # AdaFace's means moved
    assert torch.equal(torch.get_rng_state(), state)
    if name == "cosface":
        assert guessing(name, 9000, 12, 0.1) == pytest.approx(math.log(8999 + math.exp(-1.2)) + 1.2)


@pytest.mark.parametrize("d", [16, 256])
def test_class_weights_begin_short_whatever_their_size(d):
    assert load("cosface", 400, d, SCALE, 0).weight.norm(dim=1).mean().item() == pytest.approx(0.1, rel=0.05)


OPTIONS = {
    "cosface": {},
    "arcface": {},
    "adaface": {"h": 0.333, "t_alpha": 0.01},
    "magface": {"l_a": 10, "u_a": 110, "least": 0.5625, "lambda_g": 35},
    "curricularface": {"t_alpha": 0.01},
    "uniface": {"lambda_n": 1},
}


@pytest.mark.parametrize("name", HEADS)
def test_options_have_the_papers_values_and_are_read(name):
    parameters = inspect.signature(class_of(name)).parameters.values()
    assert {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY} == pytest.approx(OPTIONS[name])
    head, x, a, b, ratio = case(name)
    plain = head(x, a, b, ratio)
    for key, value in OPTIONS[name].items():
        torch.manual_seed(0)
        other = load(name, CLASSES, D, SCALE, MARGIN, **{key: value / 2})
        assert torch.equal(other.weight, head.weight) and not torch.equal(other(x, a, b, ratio), plain), key


@pytest.mark.parametrize(
    ("name", "options", "key", "value"),
    [
        ("cosface", {"h": 0.3}, "h", None),
        ("adaface", {"t_alpha": 0.01, "t_alfa": 1.0}, "t_alfa", None),
        ("adaface", {"margin": 0.4}, "margin", None),
        ("adaface", {"t_alpha": 1.5}, "t_alpha", 1.5),
        ("adaface", {"h": "0.3"}, "h", "0.3"),
        ("curricularface", {"t_alpha": -0.1}, "t_alpha", -0.1),
        ("magface", {"u_a": 10.0}, "u_a", 10.0),
        ("magface", {"l_a": 0.0}, "l_a", 0.0),
        ("uniface", {"lambda_n": math.nan}, "lambda_n", math.nan),
    ],
)
def test_options_that_a_head_does_not_have_are_refused_before_a_weight_is_drawn(name, options, key, value):
    state = torch.get_rng_state()
    with pytest.raises(InputError) as refusal:
        check_options(name, options)
    assert refusal.value.key == key and (value is None or refusal.value.value is value)
    assert refusal.value.allowed
    check_options(name, OPTIONS[name])
    assert torch.equal(torch.get_rng_state(), state)
