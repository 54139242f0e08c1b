"""Fit one network to one variant with one seed."""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from stages.common import networks
from stages.common.errors import InputError
from stages.settings.train import Train
from stages.training import heads
from stages.training.batches import Batch, Labels, batches
from stages.training.decorrelation import decorrelation
from stages.training.samples import Samples

WARM_UP = 0.1  # share of the steps in which the learning rate rises
MARGIN_WARM_UP = 0.3  # share of the steps in which the margin rises from 0
CLIP = 5.0  # largest norm of the gradient
BETAS = (0.9, 0.95)  # of AdamW; the usual 0.999 averages over more steps than the few hundred of a training
LOSS_PARTS = 10


def steps_of(cfg: Train) -> int:
    """Return how many batches a training sees; they are whole."""
    return math.ceil(cfg.samples / cfg.batch)


def fit(
    samples: Samples, cfg: Train, seed: int, after_step: Callable[[], object] = lambda: None
) -> tuple[nn.Module, list[float]]:
    """Return the trained network and its mean loss in each tenth of the training; calls `after_step` each time.

    Raises InputError when the loss is not finite.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # initial weights and dropout
        net = networks.build(cfg.card()).train().to(memory_format=torch.channels_last)  # pyright: ignore
        head = heads.load(cfg.head, samples.classes, cfg.embedding_size, cfg.scale, margin=0)
        optimiser = _optimiser(nn.ModuleList([net, head]), cfg)
        steps, losses = steps_of(cfg), []
        for step, batch in enumerate(batches(samples, steps, cfg.batch, seed)):
            head.margin = cfg.margin * min(1, step / (MARGIN_WARM_UP * steps))
            for group in optimiser.param_groups:
                group["lr"] = cfg.learning_rate * rate(step / steps)
            loss = loss_of(net, head, batch, cfg)
            losses.append(loss.item())
            if not math.isfinite(losses[-1]):
                raise InputError(
                    "params.yaml", f"the loss is {losses[-1]} at seed {seed}, step {step}",
                    key="train.learning_rate", value=cfg.learning_rate, allowed="less",
                )  # fmt: skip
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), CLIP)
            optimiser.step()
            after_step()
    return net.eval(), [float(np.mean(part)) for part in np.array_split(losses, min(LOSS_PARTS, steps))]


def rate(progress: float) -> float:
    """Return the learning rate at `progress` in [0, 1], of its peak: linear warm-up, then a half cosine to 0."""
    if progress < WARM_UP:
        return 0.1 + 0.9 * progress / WARM_UP
    return (1 + math.cos(math.pi * (progress - WARM_UP) / (1 - WARM_UP))) / 2


def loss_of(net: nn.Module, head: heads.Head, batch: Batch, cfg: Train) -> Tensor:
    """Return the batch's mean loss and decorrelation penalty.

    The loss of a face mixed from two domains is psi times that of the main one and 1 - psi times that of the other.
    """
    x = networks.standardised(batch.faces, cfg.colour).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        embedding = net(x)
    embedding = embedding.float()
    loss = _head_loss(head, embedding, batch.main)
    if batch.mix:
        loss = batch.psi * loss + (1 - batch.psi) * _head_loss(head, embedding, batch.mix)
    return loss.mean() + cfg.decorrelation * decorrelation(embedding)


def _head_loss(head: heads.Head, embedding: Tensor, labels: Labels) -> Tensor:
    return head(embedding, labels.label_a, labels.label_b, labels.ratio)


def _optimiser(parts: nn.Module, cfg: Train) -> torch.optim.Optimizer:
    """Return AdamW that decays matrices and kernels, and leaves gains and offsets alone."""
    decayed = [p for p in parts.parameters() if p.ndim > 1]
    undecayed = [p for p in parts.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": cfg.weight_decay}, {"params": undecayed, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, cfg.learning_rate, BETAS, fused=True)  # a third of the time of its loop
