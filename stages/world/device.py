"""Where the renderer runs: on the device of what it is given, with its constants made once for each device."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cache, wraps
from typing import Any, TypeVar

import torch
from torch import Tensor

_Made = TypeVar("_Made")


def on(device: torch.device) -> AbstractContextManager[Any]:
    """Return a context in which new tensors and constants lie on `device`; for CPUs it costs nothing."""
    return nullcontext() if device.type == "cpu" else torch.device(device)


def constant(make: Callable[..., _Made]) -> Callable[..., _Made]:
    """Keep what `make` returns, tensors or tuples of them, for each argument and device; it is made on the CPU."""

    @cache
    def kept(device: torch.device, *args: Any) -> Any:
        with torch.inference_mode(False), torch.device("cpu"):  # kept for whoever differentiates, too
            made = make(*args)
        return _moved(made, device)

    @wraps(make)
    def found(*args: Any) -> _Made:
        return kept(torch.get_default_device(), *args)

    return found


def _moved(made: Any, device: torch.device) -> Any:
    if isinstance(made, tuple):
        return tuple(_moved(part, device) for part in made)
    return made.to(device) if isinstance(made, Tensor) else made
