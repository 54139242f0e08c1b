"""Ranks, checkpoints and large galleries leave the result as it is."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from packing.instances import gallery
from packing.test_hyperface import CFG, value
from packing.test_orbits import FREE
from tiny import ENVIRONMENT

from stages import pack
from stages.common import artifacts, devices, sphere
from stages.common.errors import InputError
from stages.packing import checkpoint, front, history, neighbours, tiles

TWO_RANKS = """
import sys, numpy as np
from stages import pack
from stages.packing import front, tiles
from packing.instances import gallery
from packing.test_hyperface import CFG
from packing.test_orbits import FREE
from stages.common import artifacts, devices, ranks, sphere
tiles.TILE, devices.FAST_FROM = int(sys.argv[1]), 1
import stages.packing.collectives, stages.packing.operands
stages.packing.collectives.TILE = stages.packing.operands.TILE = tiles.TILE
x = pack.pack(gallery(400, d=64), CFG)
np.save(f"{sys.argv[2]}/rank{ranks.rank()}.npy", x)
np.save(f"{sys.argv[2]}/free{ranks.rank()}.npy", pack.pack(gallery(40, d=32), FREE))
sphere.TILE = tiles.TILE
artifacts.write_json(f"{sys.argv[2]}/figures{ranks.rank()}.json", pack.report(x, gallery(100, d=64), CFG))
front.ROWS, front.ITERATIONS = 24, 30  # less than a tile: the second rank has no rows
traded = front.front(x, gallery(400, d=64), CFG)
artifacts.write_json(f"{sys.argv[2]}/front{ranks.rank()}.json", traded)
"""


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> int:
    """Let small problems have many tiles, multiplied in bfloat16 where the processor can."""
    for module in ("tiles", "collectives", "operands"):
        monkeypatch.setattr(f"stages.packing.{module}.TILE", 32)
    monkeypatch.setattr(devices, "FAST_FROM", 1)
    return 32


def test_two_ranks_equal_one(small_tiles: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    program = tmp_path / "program.py"
    program.write_text(TWO_RANKS)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    paths = {"PYTHONPATH": ENVIRONMENT["PYTHONPATH"] + ":" + ENVIRONMENT["PYTHONPATH"] + "/tests"}
    command += [str(program), str(small_tiles), str(tmp_path)]
    runs = (
        subprocess.run(command, env=ENVIRONMENT | paths, capture_output=True, text=True, check=False) for _ in "123"
    )
    # a launch fails now and then beside other tests that launch ranks (cause unknown); three in a row do not
    failed = []
    for run in runs:
        if run.returncode == 0:
            break
        failed.append(run.stderr)
    assert len(failed) < 3, failed
    alone = pack.pack(gallery(400, d=64), CFG)
    first, second = np.load(tmp_path / "rank0.npy"), np.load(tmp_path / "rank1.npy")
    x_ref = gallery(400, d=64)
    assert np.array_equal(first, second)
    assert value(first, x_ref) == pytest.approx(value(alone, x_ref), abs=1e-5)
    assert np.array_equal(first, alone)
    free = pack.pack(gallery(40, d=32), FREE)
    assert all(np.array_equal(np.load(tmp_path / f"free{rank}.npy"), free) for rank in (0, 1))
    monkeypatch.setattr(sphere, "TILE", small_tiles)
    artifacts.write_json(tmp_path / "figures.json", pack.report(alone, gallery(100, d=64), CFG))  # rows repeat
    figures = (tmp_path / "figures.json").read_text()
    assert [(tmp_path / f"figures{rank}.json").read_text() for rank in (0, 1)] == [figures] * 2
    monkeypatch.setattr(front, "ROWS", 24)
    monkeypatch.setattr(front, "ITERATIONS", 30)
    artifacts.write_json(tmp_path / "alone.json", front.front(alone, x_ref, CFG))
    traded = (tmp_path / "alone.json").read_text()
    assert [(tmp_path / f"front{rank}.json").read_text() for rank in (0, 1)] == [traded] * 2


def test_a_resumed_packing_equals_an_uninterrupted_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    x_ref = gallery(400)
    with history.recorded() as whole_course:
        expected = pack.pack(x_ref, CFG)
    monkeypatch.setattr(checkpoint, "EVERY_S", 0.0)

    class KilledError(Exception):
        pass

    def save(self, state, exchange, unchanged=checkpoint.Checkpoint.save_now_and_then):
        unchanged(self, state, exchange)
        if state.step == 63:
            raise KilledError

    with monkeypatch.context() as broken, checkpoint.kept_in(tmp_path), pytest.raises(KilledError):
        broken.setattr(checkpoint.Checkpoint, "save_now_and_then", save)
        pack.pack(x_ref, CFG)
    assert len(list(tmp_path.iterdir())) == 1
    steps = []

    def watch(self, state, exchange):
        steps.append(state.step)

    monkeypatch.setattr(checkpoint.Checkpoint, "save_now_and_then", watch)
    with checkpoint.kept_in(tmp_path):
        with history.recorded() as resumed:
            assert np.array_equal(pack.pack(x_ref, CFG), expected)
        assert steps[0] == 64 and resumed == whole_course and [step for step, _ in resumed[:4]] == [0, 0, 10, 20]
        pack.pack(x_ref, replace(CFG, alpha=0.6))
    assert steps.count(1) == 1


def test_tiles_cover_all_rows_and_find_the_nearest(small_tiles: int):
    x = gallery(100)
    expected = sphere.nearest(x)[1]
    parts = [tiles.nearest_other(torch.from_numpy(x), first, 3).numpy() for first in range(3)]
    assert np.allclose(np.max(parts, axis=0), expected, atol=1e-6)
    assert [part.stop - part.start for part in tiles.tiles(100)] == [32, 32, 32, 4]
    near = tiles.nearest_among(torch.from_numpy(x[40:90]), torch.from_numpy(x), 40).numpy()
    assert np.allclose(near, expected[40:90], atol=1e-6)
    row = tiles.nearest_row(torch.from_numpy(x[:40]), torch.from_numpy(x[40:])).numpy()
    assert np.array_equal(row, sphere.nearest(x[:40], x[40:])[0])


def test_a_gallery_too_large_for_tiles_asks_for_faiss(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(neighbours, "EXACT_UP_TO", 300)
    x, x_ref = gallery(20), gallery(4000, seed=1)
    if neighbours.find_spec("faiss") is None:
        with pytest.raises(InputError, match="at most 300 without FAISS: pip install") as error:
            neighbours.nearest_gallery(x, x_ref)
        assert error.value.value == 4000
    else:
        row, cosine = neighbours.nearest_gallery(x, x_ref)
        exact = sphere.nearest(x, x_ref)[1]
        assert np.allclose(cosine, (x * x_ref[row]).sum(axis=1), atol=1e-6)
        assert (cosine <= exact + 1e-6).all() and np.mean(cosine > exact - 1e-6) > 0.9
