"""A training that is stopped goes on as if nothing had been."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import trainings
from torch import Tensor, nn
from trainings import StopError

from stages.common import devices
from stages.common.errors import InputError
from stages.heads.cosface import CosFace
from stages.training import checkpoints, fit
from stages.training.collectives import ALONE, Group
from stages.training.learner import Learner, shared_out
from stages.training.samples import Samples


def samples() -> Samples:
    """Return noise of a few people, mixed with two of another domain."""
    return trainings.noise(4, 6, mix=2)


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
    assert checkpoints.latest(tmp_path, ALONE) is None
    net, *_ = fit.fit(samples(), cfg(), 0, tmp_path)
    assert same(net, fit.fit(samples(), cfg(), 0)[0])
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000011"]


def test_checkpoints_are_as_far_apart_as_the_parameter_says(tmp_path: Path):
    fit.fit(samples(), replace(cfg(), runs=replace(cfg().runs, checkpoint_s=3600.0)), 0, tmp_path)
    assert not list(tmp_path.iterdir())


def test_micro_batches_add_up_to_the_batch():
    """Without batch statistics, the gradient of a batch is the sum of those of its parts."""
    alone = shared_out(Group(), 10, 3)
    assert [len(part.own) for part in alone] == [4, 3, 3] and sum(part.sizes[0] for part in alone) == 10
    shared = [shared_out(Group(rank, 2), 10, 3) for rank in range(2)]
    positions = [[part.own.tolist() for part in own] for own in shared]
    assert positions == [[[0, 1], [4, 5], [7, 8]], [[2, 3], [6], [9]]]
    assert [part.sizes for part in shared[0]] == [[2, 2], [2, 1], [2, 1]]


def test_a_compiled_network_learns_the_same_and_is_kept_as_it_was(monkeypatch: pytest.MonkeyPatch):
    """It is traced and differentiated ahead of time; the code that a compiler makes of that takes half a minute."""
    traced, compiling = list[nn.Module](), torch.compile

    def ahead_of_time(net: nn.Module) -> Any:
        traced.append(net)
        return compiling(net, backend="aot_eager")

    monkeypatch.setattr(torch, "compile", ahead_of_time)
    small = trainings.cfg(samples=4 * 8, batch=8, **{"input.size_px": 16, "backbone": "iresnet"})
    plain, losses, _ = fit.fit(samples(), small, 0)
    compiled, again, _ = fit.fit(samples(), replace(small, compute=replace(small.compute, compile=True)), 0)
    assert len(traced) == 1 and again == pytest.approx(losses, rel=1e-4)
    assert list(plain.state_dict()) == list(compiled.state_dict())


class _Steep(torch.autograd.Function):
    """A loss as it is, with a gradient beyond all numbers."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return grads[0] * torch.inf


def steep_in_step(monkeypatch: pytest.MonkeyPatch, *steps: int) -> None:
    """Let the gradient, not the loss, be infinite in these steps."""
    plain = CosFace.forward

    def forward(self: CosFace, *batch: Tensor) -> Tensor:
        loss = plain(self, *batch)
        return _Steep.apply(loss) if self.step in steps else loss  # pyright: ignore

    monkeypatch.setattr(CosFace, "forward", forward)


def test_a_gradient_that_is_not_finite_stops_before_it_is_learned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    steep_in_step(monkeypatch, 5)
    learners: list[Learner] = []
    with pytest.raises(InputError, match=r"the loss is \S+, its gradient not finite at seed 0, step 5; (\S+)") as error:
        fit.fit(samples(), cfg(), 0, tmp_path, after_step=learners.append)
    checkpoint = tmp_path / "step-000000005"
    assert str(checkpoint) in str(error.value) and error.value.key == "train.learning_rate"
    assert all(p.isfinite().all() for p in learners[-1].names.values())
    begun = Learner(4, cfg(), 0)
    begun.resume(checkpoint)
    assert begun.step == 5 and all(torch.equal(p, learners[-1].names[name]) for name, p in begun.names.items())


def test_float16_leaves_out_a_step_without_a_gradient_and_goes_on_from_its_scale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(devices, "training_dtype", lambda precision: torch.float16)
    steep_in_step(monkeypatch, 6, 9)
    weights, scales = [], []

    def after(stop_at: int):
        def watch(learner: Learner) -> None:
            weights.append(next(iter(learner.names.values())).detach().clone())
            scales.append(learner.scaler.get_scale())
            if learner.step == stop_at:
                raise StopError

        return watch

    whole, losses, _ = fit.fit(samples(), cfg(), 0, after_step=after(-1))
    moved = [not torch.equal(x, y) for x, y in zip(weights[:-1], weights[1:], strict=True)]
    lowered = [after / before for before, after in zip(scales[:-1], scales[1:], strict=True)]
    assert lowered[6] == lowered[9] == 0.5 and lowered == [1 if each else 0.5 for each in moved] and any(moved[7:9])
    end = scales[-1]
    with pytest.raises(StopError):
        fit.fit(samples(), cfg(), 0, tmp_path, after_step=after(7))
    resumed, again, _ = fit.fit(samples(), cfg(), 0, tmp_path, after_step=after(-1))
    assert same(whole, resumed) and losses == again and scales[-1] == end
