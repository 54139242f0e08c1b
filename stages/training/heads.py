"""The contract of a head (one file each in stages/heads), and the margin softmax that most of them are.

A head takes embeddings (b, d), not normalised, and soft labels (b,), `ratio` of class label_a and the rest of label_b,
and returns the loss of each sample (b,). It owns the class weights (classes, d), which nobody keeps after the training.

To add one, subclass `MarginHead` in a file named like the class: `target` puts the margin on the target's cosine. What
else a paper changes has a method of its own: `observe` keeps statistics in buffers, `negatives` changes the other
cosines, `loss` is something else than softmax, `penalty` weighs the embedding's norm. What a user may set beside scale
and margin are keyword-only arguments of its constructor, with the paper's values as defaults. A head written so also
works with its class weights spread over ranks, and with a sample of them: stages/training/sharded.py.
"""

import inspect
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from stages.common.errors import InputError

START = 0.1  # length of a new class weight: short, so that Adam's steps of fixed length turn it quickly
EDGE = 1e-6  # cosines this near to +-1 are moved inwards: the angle has no finite slope there


class Head(Protocol):
    """A module with class weights (classes, d); `margin` and `step` may be set while training."""

    margin: float
    step: int | None
    weight: nn.Parameter

    def __call__(self, embedding: Tensor, label_a: Tensor, label_b: Tensor, ratio: Tensor) -> Tensor:
        """Return the loss per sample (b,) of un-normalised embeddings (b, d).

        A sample is `ratio` (b,) of class label_a (b,) and 1 - ratio of class label_b (b,): SynFace's soft labels.
        """
        ...


def load(name: str, classes: int, d: int, scale: float, margin: float, **options: Any) -> "MarginHead":
    """Build the head in `stages/heads/NAME.py`, drawing its weights from torch's global generator.

    Raises InputError as `check_options`.
    """
    check_options(name, options)
    return class_of(name)(classes, d, scale, margin, **options)


def class_of(name: str) -> "type[MarginHead]":
    """Return the class in `stages/heads/NAME.py` that is spelled like its file, but for capitals."""
    module = import_module(f"stages.heads.{name}")
    return next(value for key, value in vars(module).items() if key.lower() == name)


def guessing(name: str, classes: int, scale: float, margin: float, **options: Any) -> float:
    """Return the loss of an embedding at right angles to all class weights, as a head costs who learned nothing."""
    with torch.random.fork_rng(devices=[]):
        head = load(name, classes, 2, scale, margin, **options).eval()
    label = torch.tensor([0])
    with torch.no_grad():
        head.weight.copy_(torch.tensor([1.0, 0.0]).expand_as(head.weight))
        return head(torch.tensor([[0.0, 1.0]]), label, label, torch.ones(1)).item()


def check_options(name: str, options: Mapping[str, Any]) -> None:
    """Raise InputError when a head does not have an option, or not with this value; draws nothing."""
    cls = class_of(name)
    known = [p.name for p in inspect.signature(cls).parameters.values() if p.kind is p.KEYWORD_ONLY]
    for key, value in options.items():
        if key not in known:
            raise InputError(None, f"not an option of {name}", key=key, allowed=", ".join(known) or "none")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InputError(None, key=key, value=value, allowed="a number")
    with torch.random.fork_rng(devices=[]):
        cls(1, 1, 1.0, 0.0, **options)


def in_range(key: str, value: float, least: float, most: float = math.inf) -> float:
    """Return the value of an option; raises InputError when it is not from `least` to `most`."""
    if not least <= value <= most:
        allowed = f"{least:g} to {most:g}" if math.isfinite(most) else f"at least {least:g}"
        raise InputError(None, key=key, value=value, allowed=allowed)
    return value


def angular(cos: Tensor, margin: float | Tensor) -> Tensor:
    """Return the cosine of an angle with `margin`, in radians, added to the angle.

    The gradient is the true one, with its factor sin(t + margin) / sin t. Beyond t + margin = pi the cosine would rise
    again and reward the worst samples; there the target continues as cos t - margin sin margin, falling as t grows (the
    guard of CurricularFace's code, and of MagFace's without `easy_margin`).
    """
    if isinstance(margin, Tensor):
        cos_m, sin_m = margin.cos(), margin.sin()
    else:
        cos_m, sin_m = math.cos(margin), math.sin(margin)
    cos = cos.clamp(-1 + EDGE, 1 - EDGE)
    sin = (1 - cos.square()).clamp_min(0).sqrt()
    return torch.where(cos > -cos_m, cos * cos_m - sin * sin_m, cos - margin * sin_m)


class MarginHead(nn.Module, ABC):
    """Softmax over scaled cosines to the class weights; a subclass defines the margin at the target.

    Cosines are taken once, each label gets its own margin, and the losses are mixed: ratio * CE(label_a) +
    (1 - ratio) * CE(label_b). SynFace's code mixes the logits of both labels and then weighs the two losses; here
    a sample with equal labels has exactly the plain loss.

    step: the training step. Statistics move once in a step, with its first batch, however often the head is called in
    it (twice for a mix of domains, more when gradients are accumulated). None: every call is a step of its own.
    """

    step: int | None = None
    sample = 1.0  # share of the class weights that a step takes

    def __init__(self, classes: int, d: int, scale: float, margin: float) -> None:
        """Draw short class weights (classes, d); `scale` multiplies every cosine."""
        super().__init__()
        self.weight = nn.Parameter(self._drawn(classes, d) * START / d**0.5)
        self.scale, self.margin = scale, margin
        self._observed: int | None = None

    @abstractmethod
    def target(self, cos: Tensor, norm: Tensor) -> Tensor:
        """Return the target's cosine (b, 1) with its margin; norm (b, 1) is the embedding's."""

    def negatives(self, cos: Tensor, target: Tensor) -> Tensor:
        """Return the other classes' cosines (b, classes) as they enter the loss, beside `target` (b, 1)."""
        return cos

    def observe(self, norm: Tensor, cos: Tensor) -> None:
        """Update statistics, which are buffers, by a batch's norms (b, 1) and cosines to its targets (b,)."""

    def loss(self, logits: Tensor, label: Tensor) -> Tensor:
        """Return the loss (b,) of cosines with margins (b, classes).

        Of sharded weights these are the classes of this rank, and the label is -1 where the target is on another.
        `cross_entropy` and `total` take in all ranks.
        """
        return self.cross_entropy(self.scale * logits, label)

    def penalty(self, norm: Tensor) -> Tensor | None:
        """Return what is added to the losses, (b, 1), for the embeddings' norms (b, 1); None is nothing."""

    def forward(self, embedding: Tensor, label_a: Tensor, label_b: Tensor, ratio: Tensor) -> Tensor:
        """Return the loss per sample (b,) in the embedding's precision, which should be float32."""
        weight, column_a, column_b = self._chosen(label_a, label_b)
        cos = functional.normalize(embedding) @ functional.normalize(weight).T  # (b, classes)
        norm = embedding.norm(dim=1, keepdim=True)
        if self.training and self._has_statistics() and (self.step is None or self.step != self._observed):
            self._observed = self.step
            with torch.no_grad():
                self.observe(norm, ratio * self._at(cos, column_a) + (1 - ratio) * self._at(cos, column_b))
        loss = self._loss(cos, norm, column_a)
        if not label_a.equal(label_b):
            mixed = ratio * loss + (1 - ratio) * self._loss(cos, norm, column_b)
            loss = torch.where(label_a == label_b, loss, mixed)
        penalty = self.penalty(norm)
        return loss if penalty is None else loss + penalty[:, 0]

    def cross_entropy(self, logits: Tensor, label: Tensor) -> Tensor:
        """Return the cross-entropy (b,) of softmax over the classes."""
        return functional.cross_entropy(logits, label, reduction="none")

    def total(self, terms: Tensor) -> Tensor:
        """Return the sum (b,) of terms (b, classes) over the classes."""
        return terms.sum(1)

    def _has_statistics(self) -> bool:
        return next(self.buffers(), None) is not None

    def _drawn(self, classes: int, d: int) -> Tensor:
        return torch.randn(classes, d)

    def _chosen(self, label_a: Tensor, label_b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the class weights that this batch is compared with, and both labels as numbers of their rows."""
        return self.weight, label_a, label_b

    def _at(self, x: Tensor, label: Tensor) -> Tensor:
        """Return each row's value (b,) at its label."""
        return x.gather(1, label[:, None])[:, 0]

    def _loss(self, cos: Tensor, norm: Tensor, label: Tensor) -> Tensor:
        column = label[:, None]
        target = self.target(cos.gather(1, column), norm)
        return self.loss(self.negatives(cos, target).scatter(1, column, target), label)
