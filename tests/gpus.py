"""A machine with two GPUs as seen by its second rank, for tests on one without: what is asked of them, the CPU does."""

from typing import Any

import pytest
import torch
from torch.overrides import TorchFunctionMode


class Gpus(TorchFunctionMode):
    """Within it every use of a GPU is noted in `used`, such as cuda:1, and takes place on the CPU."""

    def __init__(self) -> None:
        super().__init__()
        self.used: set[str] = set()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.device:  # named, not used
            return func(*args, **(kwargs or {}))
        return func(*map(self._here, args), **{key: self._here(value) for key, value in (kwargs or {}).items()})

    def _here(self, value: Any) -> Any:
        if isinstance(value, torch.device | str) and str(value).startswith("cuda"):
            self.used.add(str(value))
            return torch.device("cpu")
        return value


def pretend(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let torch count two GPUs, and this process be rank 1 of two on the machine."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: True)
    monkeypatch.setenv("LOCAL_RANK", "1")
