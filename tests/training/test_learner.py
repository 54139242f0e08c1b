"""A training that is stopped goes on as if nothing had been."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import trainings
from torch import nn

from stages.training import checkpoints, fit
from stages.training.collectives import Group
from stages.training.learner import Learner, parts
from stages.training.samples import Samples

PEOPLE, EACH = 4, 6


class StopError(Exception):
    """Stands for the death of the process."""


def samples() -> Samples:
    """Return noise of a few people, mixed with two of another domain."""
    who = np.repeat(np.arange(PEOPLE), EACH)
    faces = np.random.default_rng(0).integers(0, 256, (len(who), 16, 16, 3), np.uint8)
    return Samples(faces, who, who, np.ones(len(who), np.float32), who >= PEOPLE - 2, PEOPLE, augment=False)


def cfg(**changes: Any):
    return trainings.cfg(samples=12 * 8, batch=8, **{"input.size_px": 16, "runs.checkpoint_s": 0.0}, **changes)


def same(net: nn.Module, other: nn.Module) -> bool:
    """Return whether two networks have the same bytes."""
    states = net.state_dict(), other.state_dict()
    return all(torch.equal(x, y) for x, y in zip(*(state.values() for state in states), strict=True))


@pytest.mark.parametrize("optimiser", ["adamw", "sgd"])
def test_a_training_stopped_at_any_step_ends_in_the_same_bytes(tmp_path: Path, optimiser: str):
    small = cfg(**{"optimiser.name": optimiser})
    whole, losses, _ = fit.fit(samples(), small, seed=5)
    made: list[int] = []

    def stop_at(last: int):
        def after(learner: Learner) -> None:
            made.append(learner.step)
            if learner.step == last:
                raise StopError

        return after

    for last in (3, 4, 9):
        with pytest.raises(StopError):
            fit.fit(samples(), small, 5, tmp_path, after_step=stop_at(last))
    resumed, again, _ = fit.fit(samples(), small, 5, tmp_path, after_step=lambda learner: made.append(learner.step))
    assert same(whole, resumed) and losses == again
    assert made == [0, 1, 2, 3, 2, 3, 4, 3, 4, 5, 6, 7, 8, 9, 8, 9, 10, 11, 12]


def test_a_checkpoint_that_was_not_finished_is_not_taken(tmp_path: Path):
    (tmp_path / checkpoints.WRITING).mkdir()
    (tmp_path / checkpoints.WRITING / "broken").write_bytes(b"x")
    assert checkpoints.latest(tmp_path) is None
    net, *_ = fit.fit(samples(), cfg(), 0, tmp_path)
    assert same(net, fit.fit(samples(), cfg(), 0)[0])
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000011"]


def test_checkpoints_are_as_far_apart_as_the_parameter_says(tmp_path: Path):
    fit.fit(samples(), replace(cfg(), runs=replace(cfg().runs, checkpoint_s=3600.0)), 0, tmp_path)
    assert not list(tmp_path.iterdir())


def test_micro_batches_add_up_to_the_batch():
    """Without batch statistics, the gradient of a batch is the sum of those of its parts."""
    alone = parts(Group(), 10, 3)
    assert [len(part.own) for part in alone] == [4, 3, 3] and sum(part.sizes[0] for part in alone) == 10
    shared = [parts(Group(rank, 2), 10, 3) for rank in range(2)]
    positions = [[part.own.tolist() for part in own] for own in shared]
    assert positions == [[[0, 1], [4, 5], [7, 8]], [[2, 3], [6], [9]]]
    assert [part.sizes for part in shared[0]] == [[2, 2], [2, 1], [2, 1]]
