"""Packing: what places identities on the embedding sphere. One sampler a file, named as in params.yaml.

A sampler takes the gallery's unit rows x_ref (n, d) and native norms (n,), and returns unit rows x_id (m, d) and norms
(m,), all float32. The other modules are parts: the objective and its solver, closed forms, the front of `alpha`. To add
a sampler, write a module with the function `sample` of the Protocol `Sampler`, and add its name to `Pack.method` in
stages/settings/pack.py. tests/packing/test_samplers.py runs every name there. Only `pack` depends on this folder: an
edit runs it again, and what follows only if data/pack changes.
"""

from importlib import import_module
from typing import Protocol

import numpy as np

from stages.settings.pack import Pack


class Sampler(Protocol):
    """A module of this folder with one function."""

    def sample(self, x_ref: np.ndarray, norms: np.ndarray, cfg: Pack) -> tuple[np.ndarray, np.ndarray]:
        """Return unit rows x_id (m, d) float32 and their native norms (m,) float32, the same for the same input.

        x_ref: the gallery's unit rows (n, d) float32; norms: their native norms (n,). Raises InputError when the
        gallery or the settings do not allow m rows.
        """
        ...


def load(method: str) -> Sampler:
    """Load the sampler `stages/packing/METHOD.py`."""
    return import_module(f"stages.packing.{method}")  # pyright: ignore  # a module stands for the protocol


def median_norms(norms: np.ndarray, m: int) -> np.ndarray:
    """Return m times the median of the gallery's norms: what a new direction gets that has no norm of its own."""
    return np.full(m, np.median(norms), np.float32)
