"""Stages that share their work over ranks write the same bytes on any number of them."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import variant
from making import start
from tiny import ROOT, TINY, run, working_in, write_params

from stages.common import artifacts, images

STAGES = {"embed": ("data/embed",), "audit": ("data/audit", "data/judged", "reports/audit.json")}
STAGES["evaluate base"] = ("data/evaluate/base", "reports/evaluate/base.json")


def contents(outputs: tuple[str, ...]) -> dict[str, str]:
    """Return the digest of every file of some outputs."""
    files = [file for out in outputs for file in (Path(out), *Path(out).glob("*")) if file.is_file()]
    return {str(file): artifacts.digest(file) for file in files}


@pytest.mark.parametrize("stage", STAGES)
def test_two_ranks_write_the_bytes_of_one(stage: str, copy: Path):
    alone = contents(STAGES[stage])
    for out in STAGES[stage]:
        shutil.rmtree(out) if Path(out).is_dir() else os.remove(out)
    name, *words = stage.split()
    started = start(copy, "stages.common.launch", f"stages.{name}", *words)
    errors = started.communicate(timeout=120)[1]
    assert started.returncode == 0, errors
    assert alone and contents(STAGES[stage]) == alone
    assert not list(Path(".scratch").iterdir())


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Path]:
    """Work where a gallery of four shards of three faces is to be embedded."""
    write_params(tmp_path, TINY)
    shutil.copytree(ROOT / "data/pretrain/recogniser", tmp_path / "data/pretrain/recogniser")
    number = np.arange(3)
    for seed in range(4):
        file, faces = tmp_path / f"data/gallery/faces-0000{seed}.arrow", list(variant.noise(3, 16, seed))
        images.write_shard(file, faces, identity=number, index=number, seed=number, domain="")
    with working_in(tmp_path):
        yield tmp_path


def test_an_embedding_that_was_killed_goes_on_with_another_number_of_ranks(gallery: Path, monkeypatch):
    run("embed")
    whole, write, left = np.load("data/embed/x_ref.npy"), artifacts.write_array, iter(range(2))

    def killed(file: Path, x: np.ndarray) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt
        write(file, x)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(artifacts, "write_array", killed)
        run("embed")
    first, _ = sorted(Path(".scratch").glob("embed/*/.gallery-x-*.npy"))
    artifacts.write_array(first, -np.load(first))  # to be known again
    started = start(gallery, "stages.common.launch", "stages.embed", PET_NPROC_PER_NODE="3")
    errors = started.communicate(timeout=120)[1]
    assert started.returncode == 0, errors
    expected = np.concatenate([-whole[:3], whole[3:]])
    assert np.array_equal(np.load("data/embed/x_ref.npy"), expected) and not list(Path(".scratch").iterdir())
