"""Run the renderer on the device of its inputs, with constants made once for each device."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cache, wraps
from typing import Any, TypeVar

import torch
from torch import Tensor

_Tensors = TypeVar("_Tensors")


def on(device: torch.device) -> AbstractContextManager[Any]:
    """Return a context in which new tensors and constants lie on `device`; for CPUs it costs nothing."""
    return nullcontext() if device.type == "cpu" else torch.device(device)


def constant(make: Callable[..., _Tensors]) -> Callable[..., _Tensors]:
    """Cache what `make` returns, tensors or tuples of them, by arguments and device; it runs on the CPU."""

    @cache
    def cached(device: torch.device, *args: Any) -> Any:
        with torch.inference_mode(False), torch.device("cpu"):  # so that gradients can flow through it later
            tensors = make(*args)
        return _moved(tensors, device)

    @wraps(make)
    def on_default_device(*args: Any) -> _Tensors:
        return cached(torch.get_default_device(), *args)

    return on_default_device


def _moved(tensors: Any, device: torch.device) -> Any:
    if isinstance(tensors, tuple):
        return tuple(_moved(part, device) for part in tensors)
    return tensors.to(device) if isinstance(tensors, Tensor) else tensors
