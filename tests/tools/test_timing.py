"""The timing tool prints its tables; how fast anything is, is not tested."""

import pytest
from tiny import ROOT

from stages.tools import timing


def test_the_world_has_a_row_of_rates_for_every_size(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    monkeypatch.setattr(timing, "SIZES_PX", (16, 32))
    timing.world()
    rows = capsys.readouterr().out.splitlines()[-2:]
    rates = [[float(cell) for cell in row.replace("px", "").replace("none", "").split()] for row in rows]
    assert [row[0] for row in rates] == [16, 32]
    assert min(map(min, rates)) > 0


def test_the_generator_is_timed_with_the_networks_of_the_repository(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(timing, "ROWS", 2)
    timing.generator()
    steps, refined, drawn = map(float, capsys.readouterr().out.splitlines()[-1].split())
    assert min(steps, refined, drawn) > 0
