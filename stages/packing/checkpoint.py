"""Keep a long packing across a crash: its state is written to a file every minute, and a later run goes on from there.

The file's name holds a digest of the problem, so no other problem reads it. Without `kept_in` nothing is written. The
result is the same with it and without.
"""

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

import numpy as np
import torch

from stages.common import artifacts
from stages.packing.collectives import Exchange
from stages.packing.solver import State
from stages.settings.pack import Pack

EVERY_S = 60.0
ROWS = ("x", "row", "velocity", "rate", "best")

_folder: ContextVar[Path | None] = ContextVar("folder", default=None)


@contextmanager
def kept_in(folder: Path) -> Iterator[None]:
    """Keep packings that run within the block in this folder, the same for all ranks."""
    token = _folder.set(folder)
    try:
        yield
    finally:
        _folder.reset(token)


class Checkpoint:
    """The file of one problem: the start x (m, d), the gallery row of each (m,), the settings."""

    def __init__(self, x: np.ndarray, row: np.ndarray, cfg: Pack) -> None:
        """Name the file, if `kept_in` has named a folder."""
        folder = _folder.get()
        key = hashlib.sha256(x.tobytes() + row.tobytes() + repr(cfg).encode()).hexdigest()[:16]
        self.file = folder / f"packing-{key}.pt" if folder else None
        self.saved_at_s = time.monotonic()

    def load(self, exchange: Exchange, device: torch.device) -> State | None:
        """Return the state that was written last, with this rank's rows of it, or None."""
        if self.file is None or not self.file.exists():
            return None
        saved = torch.load(self.file, map_location="cpu", weights_only=True)
        return State(**saved | {name: saved[name][exchange.own].to(device) for name in ROWS})

    def save_now_and_then(self, state: State, exchange: Exchange) -> None:
        """Write the state if it was last written EVERY_S seconds ago or earlier; all ranks call this."""
        if self.file is None or not exchange.any(time.monotonic() - self.saved_at_s >= EVERY_S):
            return
        rows = {name: exchange.rows(getattr(state, name)).cpu() for name in ROWS}
        if exchange.rank == 0:
            with artifacts.output_file(self.file) as fresh:
                torch.save(vars(state) | rows, fresh)
        self.saved_at_s = time.monotonic()
