"""Interim."""
from typing import Any
from torch import Tensor


def gather(x: Tensor, sizes: list[int]) -> Tensor:
    raise NotImplementedError


def shared(x: Tensor, size: int) -> Tensor:
    return x
