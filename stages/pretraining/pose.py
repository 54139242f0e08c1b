"""Train the pose network: from a face, rendered or photographed, to yaw and pitch."""

import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from stages.common import networks, ranks
from stages.common.streams import stream
from stages.pretraining.recognition import SIZE_PX
from stages.settings.pretrain import Pretrain
from stages.world import style
from stages.world.album import Album, portraits

UNIT_DEG = 20.0  # of the network's two outputs, about a standard deviation of what it learns from
REACH_DEG = np.array([60.0, 30.0])  # largest yaw and pitch that it learns from; all as likely
POSE = [style.column("yaw_deg"), style.column("pitch_deg")]
BATCH, LEARNING_RATE = 64, 0.004
UNSEEN = 600  # faces on which the error is reported, one a person
CARD: Mapping[str, object] = {
    "architecture": "compact", "widths": [16, 32, 64, 96], "colour": "grey", "embedding_size": len(POSE),
    "size_px": SIZE_PX, "unit_deg": UNIT_DEG,
}  # fmt: skip


def train(cfg: Pretrain, network: Path) -> None:
    """Render wild faces in all poses, fit the network by regression and write it, with its errors on the card.

    The errors are of people it has not seen, mean absolute ones in degrees, in the domain of either spread: on the
    poses it learns from, and within 40 degrees of yaw, where most images lie.
    """
    faces, pose_deg = _posed("pose", cfg, cfg.people.pose, "wild", cfg.spread.wild)
    torch.manual_seed(cfg.seed)
    net = networks.build(CARD)
    fit(net, faces, pose_deg, cfg)
    errors = {}
    for domain, spread in (("wild", cfg.spread.wild), ("studio", cfg.spread.studio)):
        unseen, asked_deg = _posed(f"pose-unseen-{domain}", cfg, UNSEEN, domain, spread)
        with torch.no_grad():
            found_deg = UNIT_DEG * networks.Embedded(net, CARD).features(torch.from_numpy(unseen).float()).numpy()
        error = np.abs(found_deg - asked_deg)
        names = ("yaw_error_deg", "pitch_error_deg")
        errors[domain] = dict(zip(names, error.mean(0), strict=True))
        near = np.abs(asked_deg[:, 0]) <= 40
        errors[f"{domain}_within_40_deg"] = dict(zip(names, error[near].mean(0), strict=True))
    seen = {"people": cfg.people.pose, "epochs": cfg.epochs.pose, "population": "pose", "unseen": errors}
    networks.save(network, net, {**CARD, **seen})


def fit(net: nn.Module, faces: np.ndarray, pose_deg: np.ndarray, cfg: Pretrain) -> None:
    """Train `net` in place to yaw and pitch (b, 2) of faces (b, h, w, 3), half of them mirrored, by absolute error."""
    net.train().to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    optimiser = torch.optim.AdamW(net.parameters(), LEARNING_RATE, weight_decay=0.05)
    steps = cfg.epochs.pose * (len(faces) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, max(steps, 20), pct_start=0.15)
    target = torch.from_numpy((pose_deg / UNIT_DEG).astype(np.float32))
    for step in tqdm(range(steps), "train pose", disable=ranks.rank() != 0, ncols=80, file=sys.stdout):
        rng = stream("pose rows", cfg.seed, step)
        rows = rng.choice(len(faces), BATCH, replace=False)
        x, wanted = networks.standardised(faces[rows], "grey"), target[rows]
        if step % 2:  # a mirrored head looks to the other side
            x, wanted = x.flip(3), wanted * torch.tensor([-1.0, 1.0])
        with torch.autocast("cpu", torch.bfloat16):
            predicted = net(x.contiguous(memory_format=torch.channels_last))
        loss = nn.functional.l1_loss(predicted.float(), wanted)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    net.eval()


def _posed(split: str, cfg: Pretrain, count: int, domain: str, spread: float) -> tuple[np.ndarray, np.ndarray]:
    """Return faces of `count` people, and their yaw and pitch (count, 2), all within REACH_DEG as likely."""
    album = portraits(split, cfg.seed, count, 1, domain, spread)
    draws = [stream("trained pose", seed).uniform(-REACH_DEG, REACH_DEG) for seed in album.rows.seed]
    styles = album.style.clone()
    styles[:, POSE] = torch.from_numpy(np.array(draws, np.float32))
    posed = Album(album.z, styles, album.rows)
    starts = tqdm(range(0, count, 256), f"render {split}", disable=ranks.rank() != 0, ncols=80, file=sys.stdout)
    return np.concatenate([posed.faces(slice(i, i + 256), SIZE_PX) for i in starts]), styles[:, POSE].numpy()
