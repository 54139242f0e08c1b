"""`timing scale`: the pipeline of stand-ins runs whole, people can be told apart, and laws are those of the costs."""

import sys
from pathlib import Path

import numpy as np
import pytest

from stages.common import artifacts
from stages.common.errors import InputError
from stages.tools import scale_stages, scale_timing
from stages.tools.scale_timing import Law


def test_a_law_is_that_of_its_costs():
    sizes = np.array([1e3, 1e4, 1e5])
    law = Law(sizes, 0.02 * sizes**1.5, 200e6 + 30 * sizes)
    assert law.powers[0] == pytest.approx(1.5) and 0 < law.powers[1] < 0.01
    assert law.bytes_an_image == pytest.approx(30)
    assert law.at(10**6) == (pytest.approx(0.02 * 1e9), pytest.approx(230e6))
    late = Law(sizes, np.array([1.0, 10.0, 1000.0]), law.memory)
    assert late.at(10**6)[0] == pytest.approx(1e5)  # as it grew at last, not as on average
    quick = Law(sizes, 0.02 * sizes**0.5, np.array([3e8, 2e8, 1e8]))
    assert quick.at(10**6) == (pytest.approx(10 * quick.cpu_s[-1]), 1e8)  # never said to become cheaper


def test_the_memory_of_a_process_is_what_it_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    work = tmp_path / "work"
    (work / "stages/tools").mkdir(parents=True)
    program = (
        "import json, time\nx = bytearray(200_000_000)\ntime.sleep(.3)\njson.dump({'cpu_s': 3}, open('cost.json', 'w'))"
    )
    (work / "holds.py").write_text(program)
    monkeypatch.setattr(scale_stages, "__name__", "holds")
    seconds, peak = scale_timing.run("any", work)
    assert seconds == 3 and 200e6 < peak < 240e6
    (work / "holds.py").write_text("raise SystemExit(3)")
    with pytest.raises(InputError, match=r"log.txt: any ended with exit code 3"):
        scale_timing.run("any", work)


def test_every_stage_runs_on_stand_ins_and_tells_people_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["scale_stages"])
    monkeypatch.setattr(scale_stages, "DEPTH", 10)
    scale_stages.prepare(600)
    for step in scale_stages.STEPS.values():
        step()
    audit, scored = (artifacts.read_json(f"reports/{name}.json") for name in ("audit", "evaluate/base"))
    assert audit["images"] == 600 and scored["protocols"]["pairs"]["pairs"] == 300
    for network in ("recogniser", "judge"):
        assert audit["fidelity"]["packed"][network]["top1"]["value"] > 0.99
    assert len(list(Path("ingested").iterdir())) == 2 and Path("reports/index.html").stat().st_size > 10_000


@pytest.mark.parametrize("sizes", [[5000], [5000, 5000], [5000, 7001], [100, 5000]])
def test_sizes_without_a_law_are_refused(sizes: list[int], tmp_path: Path):
    with pytest.raises(InputError, match="--sizes"):
        scale_timing.main(sizes, save=False, folder=tmp_path)
    assert not list(tmp_path.iterdir())
