"""Fixtures: the tiny pipeline, run once per test run."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from tiny import CHAIN, ROOT, TINY, run, working_in, write_params


@pytest.fixture(scope="session")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the whole chain once; returns its folder, which tests must not change."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("chain")
    shutil.copytree(ROOT / "data" / "external", folder / "data" / "external")
    shutil.rmtree(folder / "data" / "external" / "benchmarks")
    (folder / "data" / "external" / "benchmarks").mkdir()
    write_params(folder, TINY)
    with working_in(folder):
        for stage in CHAIN:
            run(stage)
    return folder


@pytest.fixture
def copy(chain: Path, tmp_path: Path) -> Iterator[Path]:
    """Work in a copy of the chain's folder that a test may change."""
    folder = tmp_path / "copy"
    shutil.copytree(chain, folder)
    with working_in(folder):
        yield folder
