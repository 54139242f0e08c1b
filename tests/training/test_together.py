"""One network trained by several ranks: its loss is that of one, and any number of ranks ends what others began."""

import copy
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
import trainings
from torch.multiprocessing.spawn import spawn
from trainings import StopError

from stages.training import checkpoints, fit, normalisation
from stages.training.collectives import ALONE, Group
from stages.training.learner import Learner

CHANGES = {
    "samples": 12 * 24, "batch": 24, "input.size_px": 16, "runs.checkpoint_s": 0.0, "head.name": "adaface",
    "compute.precision": "full", "decorrelation": 0.3, "backbone": "iresnet",  # drops nothing out
}  # fmt: skip


def fitted(group: Group, folder: Path | None, stop_at: int | None, changes: dict[str, Any]) -> list[float]:
    """Return the losses of all steps; dies after one of them where `stop_at` names it."""

    def after(learner: Learner) -> None:
        if learner.step == stop_at:
            raise StopError

    losses: list[float] = []
    watched = Learner.learn

    def learn(self: Any, *how: Any) -> float:
        losses.append(watched(self, *how))
        return losses[-1]

    Learner.learn = learn  # pyright: ignore
    try:
        samples, cfg = trainings.coloured(7, 6, mix=2), trainings.cfg(**CHANGES | changes)
        fit.fit(samples, cfg, 3, folder, group=group, after_step=after)
    except StopError:
        pass
    finally:
        Learner.learn = watched
    return losses


def _rank(rank: int, size: int, meeting: str, jobs: list[Any]) -> None:
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{meeting}", rank=rank, world_size=size)
    for out, folder, stop_at, changes in jobs:
        losses = fitted(Group(rank, size), folder, stop_at, changes)
        np.save(f"{out}-{rank}.npy", losses)
    dist.destroy_process_group()


def run(tmp_path: Path, size: int, *jobs: tuple[str, Path | None, int | None, dict[str, Any]]) -> list[np.ndarray]:
    """Return the losses of each job by every rank, (ranks, steps)."""
    named = [(tmp_path / name, *rest) for name, *rest in jobs]
    spawn(_rank, (size, str(tmp_path / f"meeting-{size}-{jobs[0][0]}"), named), size)
    return [np.stack([np.load(f"{out}-{rank}.npy") for rank in range(size)]) for out, *_ in named]


def test_ranks_share_a_training_and_end_what_another_number_of_them_began(tmp_path: Path):
    halves: dict[str, Any] = {"runs.micro_batches": 2}
    alone, in_halves = (np.array(fitted(ALONE, None, None, changes)) for changes in ({}, halves))
    three, killed, parted, sampled = run(
        tmp_path, 3, ("whole", None, None, {}), ("killed", tmp_path / "kept", 7, {}), ("parted", None, None, halves),
        ("sampled", None, None, halves | {"compute.centres": 0.5}),
    )  # fmt: skip
    assert parted[0] == pytest.approx(in_halves, rel=1e-3)
    assert (three == three[0]).all() and three[0] == pytest.approx(alone, rel=1e-3)
    assert killed.shape == (3, 7) and np.isfinite(sampled).all() and sampled[0, -1] < sampled[0, 0]
    assert checkpoints.latest(tmp_path / "kept", ALONE) == tmp_path / "kept/step-000000006"
    shutil.copytree(tmp_path / "kept", tmp_path / "copy")
    (two,) = run(tmp_path, 2, ("ended", tmp_path / "kept", None, {}))
    one = fitted(ALONE, tmp_path / "copy", None, {})
    assert two.shape == (2, 6) and two[0] == pytest.approx(alone[6:], rel=2e-3)
    assert one == pytest.approx(alone[6:], rel=2e-3)


def test_statistics_of_a_batch_are_those_of_all_its_parts():
    """One rank stands for many: the sums are its own."""
    torch.manual_seed(0)
    x, norm = 3 + torch.randn(6, 4, 5, 5), torch.nn.BatchNorm2d(4)
    twin = normalisation._Synchronised(copy.deepcopy(norm), ALONE)
    inputs = [x.clone().requires_grad_() for _ in range(2)]
    for layer in (norm, twin):
        layer(x)
    outputs = [layer(each) for layer, each in zip((norm, twin), inputs, strict=True)]
    weight = torch.randn(6, 4, 5, 5)
    for output in outputs:
        (output * weight).sum().backward()
    assert torch.allclose(*outputs, atol=1e-5)
    assert torch.allclose(*(each.grad for each in inputs), atol=1e-5)  # pyright: ignore
    for name, value in norm.state_dict().items():
        assert torch.allclose(value, twin.state_dict()[name], atol=1e-5), name
    assert torch.allclose(norm.weight.grad, twin.weight.grad, atol=1e-4)  # pyright: ignore
