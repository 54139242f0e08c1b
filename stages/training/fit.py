"""Fit one network to one variant with one seed."""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from stages.common.errors import InputError
from stages.training import checkpoints, optimisers
from stages.training.batches import batches
from stages.training.collectives import ALONE, Group
from stages.training.learner import Learner
from stages.training.samples import Samples
from stages.training.selection import Selection
from stages.training.settings import Train

LOSS_PARTS = 10


class Fitted(NamedTuple):
    """A trained network and its mean loss in each tenth of the training.

    scores: where people were held out for that, {step: accuracy on them}; the network is that of the best, and the
    latest of equals.
    """

    net: nn.Module
    losses: list[float]
    scores: dict[int, float]


def fit(
    samples: Samples,
    cfg: Train,
    seed: int,
    folder: Path | None = None,
    *,
    group: Group = ALONE,
    selection: Selection | None = None,
    after_step: Callable[[Learner], object] = lambda learner: None,
) -> Fitted:
    """Train one network, alone or together with the other ranks of a group, which all return the same.

    Goes on from the newest checkpoint in `folder`, and writes further ones there. Calls `after_step` before the first
    step and after every one. Raises InputError when the loss or its gradient is not finite.
    """
    with torch.random.fork_rng(devices=[]):
        learner = Learner(samples.classes, cfg, seed, group)
        if folder and (checkpoint := checkpoints.latest(folder, group)):
            learner.resume(checkpoint)
        after_step(learner)
        steps, clock = cfg.steps(samples.main_count), Clock(cfg.runs.checkpoint_s, group)
        moments = {math.ceil(steps * (k + 1) / cfg.monitor.times) for k in range(cfg.monitor.times)}
        for batch in batches(
            samples, steps, cfg.batch, seed, first=learner.step, part=learner.positions, augment=cfg.augment,
            mix=cfg.loader.psi, workers=cfg.loader.workers,
        ):  # fmt: skip
            rate = cfg.learning_rate * _rate(cfg, learner.step, steps)
            try:
                learner.learn(batch, _margin(cfg, learner.step, steps), rate)
            except FloatingPointError as error:
                raise _lost(f"{error} at seed {seed}, step {learner.step}", cfg, folder) from error
            if selection and learner.step in moments:
                learner.score(selection)
            after_step(learner)
            if folder and learner.step < steps and clock.strikes():
                learner.write(folder)
    parts = np.array_split(learner.losses, min(LOSS_PARTS, steps))
    return Fitted(learner.best(), [float(np.mean(part)) for part in parts], learner.scores)


def _rate(cfg: Train, step: int, steps: int) -> float:
    length = cfg.epochs or 1.0  # passes, or shares of the training
    return optimisers.rate(step / steps * length, length, cfg.schedule)


def _margin(cfg: Train, step: int, steps: int) -> float:
    return cfg.head.margin * (min(1, step / (cfg.head.warm_up * steps)) if cfg.head.warm_up else 1)


def _lost(problem: str, cfg: Train, folder: Path | None) -> InputError:
    kept = checkpoints.latest(folder, ALONE) if folder else None
    problem += f"; {kept} is from before, and goes with the next change of parameters" if kept else ""
    return InputError("params.yaml", problem, key="train.learning_rate", value=cfg.learning_rate, allowed="less")


class Clock:
    """Strikes every so many seconds, on all ranks of a group in the same step."""

    def __init__(self, every_s: float, group: Group) -> None:
        """Start it."""
        self.every_s, self.group, self.last = every_s, group, time.monotonic()

    def strikes(self) -> bool:
        """Return whether it is time; rank 0 decides."""
        due = bool(self.group.agreed(time.monotonic() - self.last >= self.every_s))
        if due:
            self.last = time.monotonic()
        return due
