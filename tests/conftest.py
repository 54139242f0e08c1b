"""Fixtures: the tiny pipeline, run once per test run by whatever number of workers, and one stage in a repository."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import vast
from filelock import FileLock
from gpus import Gpus, pretend
from making import PIPELINE, STAGE, change, start
from threadpoolctl import threadpool_limits
from tiny import CHAIN, ROOT, TINY, git_and_dvc, run_on_what_it_declares, working_in, write_own_benchmark, write_params

# As stages have it: the last bits depend on the number of threads, and workers that share cores only wait for more.
torch.set_num_threads(1)
threadpool_limits(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let one worker begin with the chain and the others with what does not need it."""
    needing = {item.path for item in items if {"chain", "copy"} & set(getattr(item, "fixturenames", ()))}
    items.sort(key=lambda item: (item.path.name != "test_chain.py", item.path in needing))


@pytest.fixture(scope="session")
def chain(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """Run the whole chain once for all workers; returns its folder, which tests must not change."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "chain"
    with FileLock(folder.with_suffix(".lock")):
        done = folder / "done"
        if not done.exists():
            make_chain(folder)
            done.touch()
    return folder


def make_chain(folder: Path) -> None:
    """Run every stage in this process, with a benchmark of the user's own.

    Each sees of data/ and reports/ only what dvc.yaml declares; one that reads more fails here.
    """
    external = folder / "data" / "external"
    shutil.copytree(ROOT / "data" / "external", external, ignore=shutil.ignore_patterns("benchmarks"))
    shutil.copytree(ROOT / "data" / "none", folder / "data" / "none")
    write_own_benchmark(folder)
    shutil.copy(ROOT / "data" / "external" / "benchmarks" / "README.md", external / "benchmarks")
    write_params(folder, TINY)
    with working_in(folder):
        Path("whole").mkdir()
        for stage in CHAIN:
            run_on_what_it_declares(stage)


@pytest.fixture
def copy(chain: Path, tmp_path: Path) -> Iterator[Path]:
    """Work in a copy of the chain's folder that a test may change."""
    folder = tmp_path / "copy"
    shutil.copytree(chain, folder)
    with working_in(folder):
        yield folder


@pytest.fixture
def beyond(tmp_path: Path) -> Iterator[vast.Vast]:
    """Return a folder of more than 2.5 GiB of shards."""
    (folder := tmp_path / "sets").mkdir()
    yield vast.write(folder)
    shutil.rmtree(folder)


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gpus]:
    """Be the second rank of a machine that seems to have two GPUs; says which of them were used."""
    pretend(monkeypatch)
    with Gpus() as found:
        yield found


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository in which the stage ran well and git holds the metric."""
    folder = tmp_path_factory.mktemp("repository")
    (folder / "make.py").write_text(STAGE)
    (folder / "dvc.yaml").write_text(PIPELINE)
    (folder / ".gitignore").write_text("/data\n")
    change(folder, word="first")
    git_and_dvc(folder)
    with start(folder, "dvc", "repro") as started:
        assert started.communicate(timeout=60) and started.returncode == 0
    subprocess.run("git add -A && git commit -qm made", shell=True, cwd=folder, check=True)
    return folder


@pytest.fixture
def made(repository: Path, tmp_path: Path) -> Path:
    return shutil.copytree(repository, tmp_path / "made")
