"""Fit one network to one variant with one seed."""

import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from torch import nn

from stages.common.errors import InputError
from stages.settings.train import Train
from stages.training import checkpoints, optimisers
from stages.training.batches import batches
from stages.training.collectives import ALONE, Group
from stages.training.learner import Learner
from stages.training.samples import Samples

LOSS_PARTS = 10


def fit(
    samples: Samples, cfg: Train, seed: int, folder: Path | None = None, group: Group = ALONE, after_step: Callable[[int], object] = lambda step: None,
) -> tuple[nn.Module, list[float]]:
    """Return the trained network and its mean loss in each tenth of the training.

    Goes on from the newest checkpoint in `folder`, and writes further ones there. Calls `after_step` with the number of
    steps made, also of those that a checkpoint holds. Raises InputError when the loss is not finite.
    """
    with torch.random.fork_rng(devices=[]):
        learner = Learner(samples.classes, cfg, seed, group)
        if folder and (checkpoint := checkpoints.latest(folder)):
            learner.resume(checkpoint)
            after_step(learner.step)
        steps, clock = cfg.steps(samples.main_count), Clock(cfg.runs.checkpoint_s, group)
        for batch in batches(
            samples, steps, cfg.batch, seed, first=learner.step, part=learner.positions, augment=cfg.augment,
            mix=cfg.loader.psi, workers=cfg.loader.workers,
        ):
            now = cfg.progress(learner.step, steps), cfg.epochs or 1.0
            margin = cfg.head.margin * min(1, learner.step / (cfg.head.warm_up * steps)) if cfg.head.warm_up else cfg.head.margin
            loss = learner.learn(batch, margin, cfg.learning_rate * optimisers.rate(*now, cfg.schedule))
            if not math.isfinite(loss):
                raise _lost(loss, seed, learner.step, cfg, folder)
            after_step(learner.step)
            if folder and learner.step < steps and clock.strikes():
                learner.write(folder)
    return learner.net.eval(), [float(np.mean(part)) for part in np.array_split(learner.losses, min(LOSS_PARTS, steps))]


def _lost(loss: float, seed: int, step: int, cfg: Train, folder: Path | None) -> InputError:
    kept = folder and checkpoints.latest(folder)
    problem = f"the loss is {loss} at seed {seed}, step {step}" + (f"; {kept} is from before" if kept else "")
    return InputError(
        "params.yaml", problem, key="train.learning_rate", value=cfg.learning_rate, allowed="less"
    )


class Clock:
    """Strikes every so many seconds, on all ranks of a team in the same step."""

    def __init__(self, every_s: float, group: Group) -> None:
        """Start it."""
        self.every_s, self.group, self.last = every_s, group, time.monotonic()

    def strikes(self) -> bool:
        """Return whether it is time; rank 0 decides."""
        due = time.monotonic() - self.last >= self.every_s
        if self.group.size > 1:
            decision = torch.tensor(due)
            dist.broadcast(decision, 0)
            due = bool(decision)
        if due:
            self.last = time.monotonic()
        return due
