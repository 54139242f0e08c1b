"""The contract of a head (one file each in stages/heads), and the margin softmax that most of them are.

A head takes embeddings (b, d), not normalised, and soft labels (b,), `ratio` of class label_a and the rest of label_b,
and returns the loss of each sample (b,). It owns the class weights (classes, d), which nobody keeps after the training.
To add one, subclass `MarginHead` with the target's cosine, or keep the Protocol `Head`.
"""

from abc import ABC, abstractmethod
from importlib import import_module
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

START = 0.1  # length of a new class weight: short, so that Adam's steps of fixed length turn it quickly


class Head(Protocol):
    """A module with class weights (classes, d) and a `margin` that may be set while training, for its warm-up."""

    margin: float
    weight: nn.Parameter

    def __call__(self, embedding: Tensor, label_a: Tensor, label_b: Tensor, ratio: Tensor) -> Tensor:
        """Return the loss per sample (b,) of un-normalised embeddings (b, d).

        A sample is `ratio` (b,) of class label_a (b,) and 1 - ratio of class label_b (b,): SynFace's soft labels.
        """
        ...


def load(name: str, classes: int, d: int, scale: float, margin: float) -> "MarginHead":
    """Build the head in `stages/heads/NAME.py`, drawing its weights from torch's global generator."""
    return import_module(f"stages.heads.{name}").load(classes, d, scale, margin)


class MarginHead(nn.Module, ABC):
    """Softmax over scaled cosines to the class weights; a subclass defines the margin at the target.

    Cosines are taken once, each label gets its own margin, and the losses are mixed: ratio * CE(label_a) +
    (1 - ratio) * CE(label_b). SynFace's code mixes the logits of both labels and then weighs the two losses; here
    a sample with equal labels has exactly the plain loss.
    """

    def __init__(self, classes: int, d: int, scale: float, margin: float) -> None:
        """Draw short class weights (classes, d); `scale` multiplies every cosine."""
        super().__init__()
        self.weight = nn.Parameter(torch.randn(classes, d) * START / d**0.5)
        self.scale, self.margin = scale, margin

    @abstractmethod
    def target(self, cos: Tensor) -> Tensor:
        """Return the target's cosine (b, 1) with its margin."""

    def forward(self, embedding: Tensor, label_a: Tensor, label_b: Tensor, ratio: Tensor) -> Tensor:
        """Return the loss per sample (b,) in the embedding's precision, which should be float32."""
        cos = functional.normalize(embedding) @ functional.normalize(self.weight).T  # (b, classes)
        loss = self._loss(cos, label_a)
        if label_a.equal(label_b):
            return loss
        mixed = ratio * loss + (1 - ratio) * self._loss(cos, label_b)
        return torch.where(label_a == label_b, loss, mixed)

    def _loss(self, cos: Tensor, label: Tensor) -> Tensor:
        column = label[:, None]
        logits = cos.scatter(1, column, self.target(cos.gather(1, column)))
        return functional.cross_entropy(self.scale * logits, label, reduction="none")
