"""A short training whose class weights and batches are spread over ranks, for tests/training/test_sharded.py."""

import os
from dataclasses import dataclass
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from stages import heads
from stages.training import sharded
from stages.training.collectives import ALONE, Group
from stages.training.decorrelation import decorrelation

HEADS = [module.name for module in iter_modules(heads.__path__)]
RANKS, D, B, SIZES, STEPS, SCALE, MARGIN = 3, 5, 8, [3, 2, 3], 2, 16.0, 0.35


@dataclass(frozen=True)
class Case:
    """A head over so many classes, of which each step takes a share."""

    name: str
    classes: int = 10
    dtype: torch.dtype = torch.float64
    sample: float = 1.0


CASES = [
    *(Case(name, dtype=dtype) for name in HEADS for dtype in (torch.float32, torch.float64)),
    *(Case(name, classes=4) for name in ("cosface", "uniface")),  # two each for two ranks, none for the third
    *(Case(name, classes=20, sample=0.5) for name in ("cosface", "curricularface", "uniface")),
]


def train(case: Case, group: Group = ALONE) -> list[dict[str, Any]]:
    """Return for every step what this rank has before its update; soft labels at first, equal ones in the last step."""
    torch.manual_seed(0)
    options = {"sample": case.sample, "seed": 3, "group": group}
    head = sharded.load(case.name, case.classes, D, SCALE, MARGIN, **options).to(case.dtype)
    net = nn.Linear(6, D).to(case.dtype)
    sizes = SIZES if group.size > 1 else [B]
    parameters = [*net.parameters(), *head.parameters()]
    steps = []
    for step in range(STEPS):
        draw = torch.Generator().manual_seed(step)
        faces = 20 * torch.randn(B, 6, generator=draw).to(case.dtype)  # norms on either side of MagFace's bounds
        label_a, label_b = torch.randint(case.classes, (2, B), generator=draw)
        label_b = label_b if step < STEPS - 1 else label_a
        ratio = torch.rand(B, generator=draw).to(case.dtype)
        head.step = step
        embedding = group.gather(net(faces.split(sizes)[group.rank]), sizes)
        loss = head(embedding, label_a, label_b, ratio)
        (loss.mean() + decorrelation(group.shared(embedding))).backward()
        for parameter in net.parameters():  # as DistributedDataParallel, whose import takes longer than all of this
            parameter.grad = group.summed(parameter.grad) / group.size  # pyright: ignore[reportArgumentType]
        alike = {"loss": loss.detach(), "net": torch.cat([p.grad.flatten() for p in net.parameters()])}  # pyright: ignore
        alike |= {f"gradient of {key}": p.grad for key, p in head.named_parameters() if key != "weight"}
        alike |= {key: value.clone() for key, value in head.state_dict().items() if key != "weight"}
        own = {"weight": head.weight.detach().clone(), "gradient": head.weight.grad}
        batch = {"embedding": embedding.detach(), "label_a": label_a, "label_b": label_b, "ratio": ratio}
        steps.append({"alike": alike, "own": own, "batch": batch})
        with torch.no_grad():
            for parameter in parameters:
                parameter -= 0.1 * parameter.grad  # pyright: ignore[reportOperatorIssue]
                parameter.grad = None
    return steps


def work(rank: int, folder: Path) -> None:
    """Train every case as one of RANKS ranks and write what it has."""
    torch.set_num_threads(1)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    dist.init_process_group("gloo", f"file://{folder / 'store'}", rank=rank, world_size=RANKS)
    torch.save([train(case, Group(rank, RANKS)) for case in CASES], folder / f"{rank}.pt")
    dist.destroy_process_group()
