"""The optimiser of a training, and how its learning rate goes."""

import math

import torch
from torch import nn

from stages.training.settings import Optimiser, Schedule

FLOOR = 0.1  # where the warm-up begins, of the peak


def build(parts: nn.Module, cfg: Optimiser, learning_rate: float) -> torch.optim.Optimizer:
    """Return the optimiser of all parameters; where `exempt`, gains and offsets (vectors) do not decay."""
    matrices = [p for p in parts.parameters() if p.ndim > 1]
    vectors = [p for p in parts.parameters() if p.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": cfg.weight_decay},
        {"params": vectors, "weight_decay": 0.0 if cfg.exempt else cfg.weight_decay},
    ]
    if cfg.name == "sgd":
        return torch.optim.SGD(groups, learning_rate, cfg.betas[0])
    betas = (cfg.betas[0], cfg.betas[1])
    return torch.optim.AdamW(groups, learning_rate, betas, fused=True)  # a third of the time of its loop


def rate(progress: float, length: float, cfg: Schedule) -> float:
    """Return the learning rate at `progress` of `length` (passes, or shares of 1), of its peak.

    A linear warm-up in every step, then half a cosine to 0, a power of what is left, or drops by a factor.
    """
    if progress < cfg.warm_up:
        return FLOOR + (1 - FLOOR) * progress / cfg.warm_up
    if cfg.name == "steps":
        return cfg.factor ** sum(progress >= drop for drop in cfg.drops)
    after, rest = progress - cfg.warm_up, length - cfg.warm_up
    if cfg.name == "polynomial":
        return (1 - after / rest) ** cfg.power
    return (1 + math.cos(math.pi * after / rest)) / 2
