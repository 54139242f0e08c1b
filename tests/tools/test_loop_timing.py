"""`timing train`: the loop and ready tensors take the same steps, and the page holds what was measured."""

from pathlib import Path

import pytest

from stages.tools import loop_timing, train_timing
from stages.tools.loop_timing import Case


def test_the_loop_and_ready_tensors_are_timed_on_the_same_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name, value in (("STEPS", 2), ("BATCH", 4), ("RUNS", 1), ("DISTINCT", 8), ("EACH", 2)):
        monkeypatch.setattr(train_timing, name, value)
    monkeypatch.setattr(loop_timing, "TURNS", 2)
    drawn = train_timing.drawn
    monkeypatch.setattr(train_timing, "drawn", lambda: drawn(16))
    small = {"levels": {"widths": [8, 8, 8, 8], "blocks": [1, 1, 1, 1]}, "embedding_size": 8}
    monkeypatch.setattr(loop_timing, "cases", lambda: [Case("small", small, 8, 2, 1)])
    steps: list[int] = []
    learn = loop_timing.Learner.learn
    monkeypatch.setattr(
        loop_timing.Learner, "learn", lambda self, *how: (steps.append(id(how[0])), learn(self, *how))[1]
    )
    speeds, ((name, batch, *_, loop, ready, ratio),) = loop_timing.measured(tmp_path)
    assert (name, batch) == ("small", "8") and loop != ready and 0 < float(ratio) < 3
    assert len(steps) == 1 + 2 * 2 * 2 and len({*steps[3:5], *steps[7:9]}) == 1  # ready tensors are one batch
    assert "arcface_torch, .rec: flip" in loop_timing.page(speeds, []) and all(speed > 0 for speed in speeds.values())
