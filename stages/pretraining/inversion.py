"""Train the inverter: from a recogniser's embedding of a studio face to the identity parameters behind it."""

import math
import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from stages.backbones.inverter import Inverter
from stages.common import artifacts, networks, ranks, sphere
from stages.common.streams import stream
from stages.pretraining.recognition import EMBEDDING_SIZE, SIZE_PX
from stages.settings.pretrain import Pretrain
from stages.world import identity
from stages.world.album import portraits

CHUNK = 512
BATCH = 256
WIDTH, BLOCKS = 512, 2
HELD_OUT = 0.05  # share of the people on whom the fit is reported


def train(cfg: Pretrain, folder: Path) -> None:
    """Render studio people, embed them with `folder`/recogniser and fit the inverter by regression.

    A cycle through a learned surrogate of the renderer failed in the prototype: it exploits the surrogate where no
    face was seen. Plain regression to the parameters does not.
    """
    recogniser = networks.load(folder / "recogniser")
    album = portraits("inverter", cfg.seed, cfg.people.inverter, 1, "studio", cfg.spread.studio)
    starts = range(0, cfg.people.inverter, CHUNK)
    files = {folder / f".embedded-{start:07d}.npy": start for start in starts}

    def work(file: Path) -> None:
        faces = album.faces(slice(files[file], files[file] + CHUNK), SIZE_PX)
        artifacts.write_array(file, recogniser.embed(faces))

    sizes = {file: min(CHUNK, cfg.people.inverter - start) for file, start in files.items()}
    ranks.make(sizes, work, "render inverter", "img")
    if ranks.rank() == 0:
        x = sphere.unit_rows(np.concatenate([artifacts.read_array(file) for file in files]))
        net, cosine = fit(torch.from_numpy(x), identity.bounded(album.z), cfg)
        card = {"architecture": "inverter", "embedding_size": EMBEDDING_SIZE, "width": WIDTH, "blocks": BLOCKS}
        people = {"people": cfg.people.inverter, "population": "inverter", "cosine": cosine}
        artifacts.write_weights(folder / "inverter", net.state_dict(), {**card, **people})
    ranks.barrier()


def fit(x: torch.Tensor, z: torch.Tensor, cfg: Pretrain) -> tuple[Inverter, float]:
    """Return the inverter of rows x (n, d) to parameters z (n, p), and the mean cosine to z on held-out people."""
    torch.manual_seed(cfg.seed)
    net = Inverter(x.shape[1], z.shape[1], WIDTH, BLOCKS).train()
    seen = len(x) - int(HELD_OUT * len(x))
    steps = cfg.epochs.inverter * math.ceil(seen / BATCH)
    optimiser = torch.optim.AdamW(net.parameters(), 1e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, max(steps, 20), pct_start=0.1)
    for step in tqdm(range(steps), "train inverter", ncols=80, file=sys.stdout):
        rows = torch.from_numpy(stream("inverter rows", cfg.seed, step).integers(0, seen, BATCH))
        loss = nn.functional.mse_loss(net(x[rows]), z[rows])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    net.eval()
    with torch.no_grad():
        cosine = nn.functional.cosine_similarity(net(x[seen:]), z[seen:]).mean().item()
    return net, cosine
