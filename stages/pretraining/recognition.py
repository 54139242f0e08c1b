"""Train a recogniser on rendered `wild` faces, and measure it on people it has not seen."""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from stages.common import networks, ranks, sphere
from stages.common.streams import stream
from stages.common.verification import ten_fold_accuracy
from stages.settings.pretrain import Pretrain
from stages.training import heads
from stages.training.decorrelation import decorrelation
from stages.training.transform import jittered
from stages.world.album import portraits

SIZE_PX = 64
EMBEDDING_SIZE = 128
BATCH = 64
WARM_UP = 0.25  # share of the steps in which the margin grows from 0; a margin from the start does not learn
JITTER = 0.25  # of what photographs need: the camera of the world errs by itself; all of it cost accuracy here
UNSEEN_IMAGES, UNSEEN_PAIRS = 8, 6000
FOLDS = 10


@dataclass(frozen=True)
class Recipe:
    """What tells one recogniser from the other."""

    population: str
    architecture: str
    widths: tuple[int, ...]
    colour: str
    loss: str
    scale: float
    margin: float
    decorrelation: float

    def card(self) -> dict[str, object]:
        """Return the card's part that rebuilds the network."""
        size = {"embedding_size": EMBEDDING_SIZE, "size_px": SIZE_PX}
        return {"architecture": self.architecture, "widths": list(self.widths), "colour": self.colour, **size}


def train(recipe: Recipe, cfg: Pretrain, network: Path) -> None:
    """Render the recipe's people, train its network and write it, with its accuracy on the card."""
    faces, who = _faces(recipe.population, cfg, cfg.people.recognisers, cfg.images)
    epochs = cfg.epochs.judge if recipe.population == "judge" else cfg.epochs.recogniser
    torch.manual_seed(cfg.seed + (recipe.population == "judge"))  # initial weights and dropout
    net = networks.build(recipe.card())
    fit(net, recipe, faces, who, epochs, cfg)
    accuracy = unseen_accuracy(net, recipe, cfg)
    seen = {"people": cfg.people.recognisers, "images": len(faces), "epochs": epochs, "population": recipe.population}
    networks.save(network, net, {**recipe.card(), **seen, "loss": recipe.loss, "unseen_accuracy": accuracy})


def fit(net: nn.Module, recipe: Recipe, faces: np.ndarray, who: np.ndarray, epochs: int, cfg: Pretrain) -> None:
    """Train `net` in place with a margin softmax over people, AdamW and a one-cycle rate."""
    net.train().to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    head = heads.load(recipe.loss, int(who.max()) + 1, EMBEDDING_SIZE, recipe.scale, margin=0)
    groups = [{"params": net.parameters(), "weight_decay": 0.05}, {"params": head.parameters(), "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, cfg.learning_rate)
    steps = epochs * (len(faces) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, cfg.learning_rate, steps, pct_start=0.15)
    labels = torch.from_numpy(who.astype(np.int64))
    order = (rows for epoch in range(epochs) for rows in _batches(len(faces), [cfg.seed, epoch]))
    progress = tqdm(order, f"train {recipe.population}", steps, disable=ranks.rank() != 0, ncols=80, file=sys.stdout)
    for step, rows in enumerate(progress):
        rng = stream("recogniser jitter", cfg.seed, step)
        x = networks.standardised(jittered(faces[rows], rng, JITTER), recipe.colour)
        with torch.autocast("cpu", torch.bfloat16):
            features = net(x.contiguous(memory_format=torch.channels_last))
        features, label = features.float(), labels[rows]
        head.margin = recipe.margin * min(1.0, step / (WARM_UP * steps))
        loss = head(features, label, label, torch.ones(BATCH)).mean()
        loss = loss + recipe.decorrelation * decorrelation(features)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimiser.step()
        schedule.step()
        if step % 50 == 0:
            progress.set_postfix_str(f"loss {loss.item():.2f}")


def _batches(count: int, key: list[int]) -> list[np.ndarray]:
    order = stream("recogniser order", *key).permutation(count)
    return [order[start : start + BATCH] for start in range(0, count - BATCH + 1, BATCH)]


def _faces(population: str, cfg: Pretrain, people: int, depth: int) -> tuple[np.ndarray, np.ndarray]:
    album = portraits(population, cfg.seed, people, depth, "wild", cfg.spread.wild)
    starts = tqdm(
        range(0, people * depth, 256), f"render {population}", disable=ranks.rank() != 0, ncols=80, file=sys.stdout
    )
    parts = [album.faces(slice(start, start + 256), SIZE_PX) for start in starts]
    return np.concatenate(parts), album.rows.identity


def unseen_accuracy(net: nn.Module, recipe: Recipe, cfg: Pretrain) -> float:
    """Return the ten-fold accuracy on pairs of people kept for this figure: no recipe was chosen on them."""
    faces, _ = _faces("unseen", cfg, cfg.people.unseen, UNSEEN_IMAGES)
    x = sphere.unit_rows(networks.Embedded(net, recipe.card()).embed(faces))
    rng = stream("unseen pairs", cfg.seed)
    score, same = [], []
    for _ in range(UNSEEN_PAIRS // 2):
        i, other = rng.choice(cfg.people.unseen, 2, replace=False)
        a, b = rng.choice(UNSEEN_IMAGES, 2, replace=False)
        score += [x[i * UNSEEN_IMAGES + a] @ x[i * UNSEEN_IMAGES + b]]
        score += [x[i * UNSEEN_IMAGES + a] @ x[other * UNSEEN_IMAGES + b]]
        same += [True, False]
    fold = np.arange(len(score)) * FOLDS // len(score)
    return ten_fold_accuracy(np.array(score), np.array(same), fold)[0]
