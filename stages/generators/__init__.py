"""Generators: what turns identity rows into faces. One backend a file, named as in params.yaml.

A backend works in two steps, so that what is costly per identity is done once: `condition` turns unit rows (m, d) with
native norms (m,) into conditions (m, c), whatever it needs to know of a person; `generate` draws faces uint8
(b, s, s, 3) RGB, s = `world.size_px`, of conditions (b, c) and seeds (b,). In between, conditions may be perturbed and
mixed. Which faces are drawn is decided in `stages.generate`. To add one, keep the Protocol `Generator`, give its module
a `load`, and add its name to `Generate.backend` in stages/settings/generate.py. For AttrOP keep `Differentiable`, too,
and name it in stages/validate.py. What it imports of ours goes into the `deps` of `generate`.
tests/generators/test_conformance.py takes a function that returns it.
"""

from importlib import import_module
from typing import Protocol, runtime_checkable

import numpy as np
from torch import Tensor

from stages.common.shards import Drawn
from stages.common.world import World
from stages.settings.generate import Generate


class Generator(Protocol):
    """A face generator conditioned on rows of the embedding sphere. Arrays are float32; rows are independent."""

    domain: str
    frame_px: int  # what its faces show of ArcFace's template of 112 px

    def condition(self, x_id: np.ndarray, norms: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        """Return the conditions (m, c) of unit identity rows (m, d).

        norms (m,) are the rows' native ones, for backends that work there; seeds (m,) fix what is random in it.
        """
        ...

    def perturbed(self, condition: np.ndarray, x_id: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Return the conditions (b, c) of rows x (b, d) near identity rows x_id (b, d) whose conditions are known."""
        ...

    def mixed(self, condition_a: np.ndarray, condition_b: np.ndarray, ratio: np.ndarray) -> np.ndarray:
        """Return conditions (b, c) that are `ratio` (b,) of one identity and the rest of another."""
        ...

    def generate(self, condition: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        """Return faces uint8 (b, h, w, 3) RGB; face i depends on condition i and seed i alone."""
        ...


@runtime_checkable
class Photographer(Protocol):
    """A generator of full-size pictures, which have to be aligned: that may fail, and each says so by its domain."""

    def drawn(self, condition: np.ndarray, seeds: np.ndarray) -> tuple[np.ndarray, list[str]]:
        """Return what `generate` does, and the domain of each face: `NAME`, or `NAME-fixed-crop`."""
        ...


def faces(generator: Generator, condition: np.ndarray, seeds: np.ndarray) -> Drawn:
    """Return the faces of conditions, with each one's domain where a generator tells them apart."""
    if isinstance(generator, Photographer):
        return generator.drawn(condition, seeds)
    return generator.generate(condition, seeds)


@runtime_checkable
class Differentiable(Generator, Protocol):
    """A generator whose faces can be differentiated by their conditions, which AttrOP needs (`stages.attributes`)."""

    rows_at_once: int  # as many rows are drawn at once, always, so that a row does not depend on the others

    def movable(self, condition: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        """Return conditions (b, c') that say all that AttrOP may move of the faces of conditions (b, c) and seeds (b,).

        They are conditions, too: `generate` draws the same faces of them.
        """
        ...

    def draw(self, condition: Tensor, seeds: np.ndarray) -> Tensor:
        """Return faces (b, 3, h, w) RGB in [0, 1] on the CPU, without a camera's flaws, with gradients."""
        ...


def load(cfg: Generate, world: World) -> Generator:
    """Load the generator `stages/generators/BACKEND.py`; raises InputError when its weights are missing or wrong."""
    return import_module(f"stages.generators.{cfg.backend}").load(cfg, world)
