"""Linear expressions of named numbers, many of which are evaluated by one product of matrices."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

ONE = "one"  # the name of the number 1, whose weights are the constants


@dataclass(frozen=True)
class Linear:
    """Hold a weighted sum of named numbers; sums, differences and multiples of it are others."""

    weights: dict[str, float]

    def __add__(self, other: "Linear | float") -> "Linear":
        """Return the sum with another expression or a constant."""
        terms = other.weights if isinstance(other, Linear) else {ONE: other}
        names = dict.fromkeys((*self.weights, *terms))
        return Linear({name: self.weights.get(name, 0.0) + terms.get(name, 0.0) for name in names})

    def __mul__(self, factor: float) -> "Linear":
        """Return a multiple."""
        return Linear({name: factor * weight for name, weight in self.weights.items()})

    def __neg__(self) -> "Linear":
        """Return the negative."""
        return self * -1.0

    def __sub__(self, other: "Linear | float") -> "Linear":
        """Return the difference from another expression or a constant."""
        return self + -other

    def __rsub__(self, other: float) -> "Linear":
        """Return the difference of a constant from this."""
        return -self + other

    __radd__, __rmul__ = __add__, __mul__


def of(name: str) -> Linear:
    """Return the expression of one named number."""
    return Linear({name: 1.0})


def matrix(expressions: Iterable[Linear | float], names: Sequence[str]) -> Tensor:
    """Return the weights (len(names), k) of k expressions; `KeyError` for an unknown name."""
    row = {name: i for i, name in enumerate(names)}
    columns = [e.weights if isinstance(e, Linear) else {ONE: e} for e in expressions]
    weights = torch.zeros(len(names), len(columns))
    for k, terms in enumerate(columns):
        for name, weight in terms.items():
            weights[row[name], k] = weight
    return weights
