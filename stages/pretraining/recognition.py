"""Train a recogniser on rendered `wild` faces, and measure it on people it has not seen."""

import math
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from stages.common import networks, ranks
from stages.settings.pretrain import Pretrain
from stages.training.decorrelation import decorrelation
from stages.world.album import portraits

SIZE_PX = 64
EMBEDDING_SIZE = 128
BATCH = 64
WARM_UP = 0.25  # share of the steps in which the margin grows from 0; a margin from the start does not learn
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


def train(recipe: Recipe, cfg: Pretrain, file: Path) -> None:
    """Render the recipe's people, train its network and write it, with its accuracy on the card."""
    faces, who = _faces(recipe.population, cfg, cfg.identities, cfg.images)
    epochs = cfg.judge_epochs if recipe.population == "judge" else cfg.epochs
    torch.manual_seed(cfg.seed + (recipe.population == "judge"))  # initial weights and dropout
    net = networks.build(recipe.card())
    fit(net, recipe, faces, who, epochs, cfg)
    accuracy = unseen_accuracy(net, recipe, cfg)
    seen = {"people": cfg.identities, "images": len(faces), "epochs": epochs, "population": recipe.population}
    networks.save(file, net, {**recipe.card(), **seen, "loss": recipe.loss, "unseen_accuracy": accuracy})


def fit(net: nn.Module, recipe: Recipe, faces: np.ndarray, who: np.ndarray, epochs: int, cfg: Pretrain) -> None:
    """Train `net` in place with a margin softmax over people, AdamW and a one-cycle rate."""
    net.train().to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    centres = nn.Parameter(0.01 * torch.randn(int(who.max()) + 1, EMBEDDING_SIZE))
    groups = [{"params": net.parameters(), "weight_decay": 0.05}, {"params": [centres], "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, cfg.learning_rate)
    steps = epochs * (len(faces) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, cfg.learning_rate, steps, pct_start=0.15)
    labels = torch.from_numpy(who.astype(np.int64))
    order = (rows for epoch in range(epochs) for rows in _batches(len(faces), [cfg.seed, epoch]))
    progress = tqdm(order, f"train {recipe.population}", steps, disable=ranks.rank() != 0, ncols=80, file=sys.stdout)
    for step, rows in enumerate(progress):
        rng = np.random.default_rng([cfg.seed, step, 3])
        x = networks.standardised(jitter(torch.from_numpy(faces[rows]), rng), recipe.colour)
        with torch.autocast("cpu", torch.bfloat16):
            features = net(x.contiguous(memory_format=torch.channels_last))
        margin = recipe.margin * min(1.0, step / (WARM_UP * steps))
        loss = margin_softmax(features.float(), centres, labels[rows], recipe, margin)
        loss = loss + recipe.decorrelation * decorrelation(features.float())
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimiser.step()
        schedule.step()
        if step % 50 == 0:
            progress.set_postfix_str(f"loss {loss.item():.2f}")


def margin_softmax(x: Tensor, centres: Tensor, label: Tensor, recipe: Recipe, margin: float) -> Tensor:
    """Return the mean CosFace (cos t - m) or ArcFace (cos(t + m)) loss of embeddings (b, d) and labels (b,)."""
    cosine = nn.functional.normalize(x) @ nn.functional.normalize(centres).T  # (b, people)
    target = cosine.gather(1, label[:, None]).clamp(-1 + 1e-6, 1 - 1e-6)
    moved = target - margin if recipe.loss == "cosface" else torch.cos(torch.acos(target) + margin)
    return nn.functional.cross_entropy(recipe.scale * cosine.scatter(1, label[:, None], moved), label)


def jitter(faces: Tensor, rng: np.random.Generator) -> Tensor:
    """Return faces (b, h, w, 3) uint8 mirrored by chance and slightly scaled, shifted and turned, as float.

    The camera of the world already errs in its alignment; four times as much jitter cost accuracy at this budget.
    """
    b, h = faces.shape[:2]
    scale = np.exp(0.015 * rng.standard_normal(b))
    angle = np.radians(1) * rng.standard_normal(b)
    mirror = rng.choice([-1.0, 1.0], b)
    shift = 2 / 112 * rng.standard_normal((b, 2))
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    affine = np.stack([mirror * cos, -sin, shift[:, 0], mirror * sin, cos, shift[:, 1]], 1).reshape(b, 2, 3)
    grid = nn.functional.affine_grid(torch.from_numpy(affine.astype(np.float32)), [b, 3, h, h], align_corners=False)
    x = faces.permute(0, 3, 1, 2).float()
    moved = nn.functional.grid_sample(x, grid, padding_mode="border", align_corners=False)
    return moved.permute(0, 2, 3, 1)


def _batches(count: int, key: list[int]) -> list[np.ndarray]:
    order = np.random.default_rng(key).permutation(count)
    return [order[start : start + BATCH] for start in range(0, count - BATCH + 1, BATCH)]


def _faces(population: str, cfg: Pretrain, people: int, depth: int) -> tuple[np.ndarray, np.ndarray]:
    album = portraits(population, cfg.seed, people, depth, "wild", cfg.wild_spread)
    starts = tqdm(
        range(0, people * depth, 256), f"render {population}", disable=ranks.rank() != 0, ncols=80, file=sys.stdout
    )
    parts = [album.faces(slice(start, start + 256), SIZE_PX) for start in starts]
    return np.concatenate(parts), album.rows.identity


def unseen_accuracy(net: nn.Module, recipe: Recipe, cfg: Pretrain) -> float:
    """Return the ten-fold accuracy on pairs of people kept for this figure: no recipe was chosen on them."""
    faces, _ = _faces("unseen", cfg, cfg.unseen_identities, UNSEEN_IMAGES)
    x = networks.Embedded(net, recipe.card()).embed(faces)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    rng = np.random.default_rng([cfg.seed, 4])
    score, same = [], []
    for _ in range(UNSEEN_PAIRS // 2):
        i, other = rng.choice(cfg.unseen_identities, 2, replace=False)
        a, b = rng.choice(UNSEEN_IMAGES, 2, replace=False)
        score += [x[i * UNSEEN_IMAGES + a] @ x[i * UNSEEN_IMAGES + b]]
        score += [x[i * UNSEEN_IMAGES + a] @ x[other * UNSEEN_IMAGES + b]]
        same += [True, False]
    return _ten_fold(np.array(score), np.array(same))


def _ten_fold(score: np.ndarray, same: np.ndarray) -> float:
    fold = np.arange(len(score)) * FOLDS // len(score)
    right = []
    for held_out in range(FOLDS):
        inside, outside = fold == held_out, fold != held_out
        grid = np.sort(score[outside])[:: max(1, math.ceil(outside.sum() / 400))]
        accuracy = [((score[outside] > t) == same[outside]).mean() for t in grid]
        threshold = grid[int(np.argmax(accuracy))]
        right.append(((score[inside] > threshold) == same[inside]).mean())
    return float(np.mean(right))
