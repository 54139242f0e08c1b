"""Bad input is one line and exit code 1; a stage dies with its parent; ranks and one process write the same bytes."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tiny import ENVIRONMENT, TINY, working_in, write_params

from stages.common import ranks


def run(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *words]
    return subprocess.run(command, cwd=folder, env={**ENVIRONMENT, **environment}, capture_output=True, text=True)


def test_bad_input_is_one_line_and_leaves_earlier_outputs(tmp_path: Path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "validate").write_text("earlier")
    write_params(tmp_path, {"pack.alpha": -1.0})
    done = run(tmp_path, "stages.validate")
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr == "error: params.yaml: pack.alpha = -1.0: input should be greater than or equal to 0\n"
    assert (tmp_path / "data" / "validate").read_text() == "earlier"


def test_a_stage_has_one_thread_also_when_torch_comes_late(tmp_path: Path):
    (tmp_path / "late.py").write_text(
        "from stages.common import stage\n\n"
        "def main():\n    import torch\n    return f'threads: {torch.get_num_threads()}'\n\n"
        "stage.run(main)\n"
    )
    assert run(tmp_path, "late", OMP_NUM_THREADS="2").stdout.startswith("threads: 1 (")


def test_bad_input_is_one_line_on_two_ranks_too(tmp_path: Path):
    write_params(tmp_path, TINY)
    done = run(tmp_path, "stages.common.launch", "stages.generate", PET_NPROC_PER_NODE="2")
    assert done.returncode == 1
    assert done.stderr == "error: data/pack/x_id.npy: no such file; `dvc repro` makes it, `dvc checkout` restores it\n"


def test_a_rank_that_loses_its_connection_to_one_that_failed_is_silent(tmp_path: Path):
    (tmp_path / "late.py").write_text(
        "import os\nfrom pathlib import Path\nfrom stages.common import stage\n"
        "def main():\n"
        "    Path(os.environ[stage.ERROR_FILE]).write_text('error: of the first\\n')\n"
        "    raise RuntimeError('Connection closed by peer')\n"
        "stage.run(main)\n"
    )
    done = run(tmp_path, "stages.common.launch", "late", PET_NPROC_PER_NODE="1")
    assert done.returncode == 1 and done.stderr == "error: of the first\n"


@pytest.mark.parametrize(("share", "more"), [(None, 0), ("seeds", 1), ("data", 0)])
def test_a_rank_for_each_core_and_one_more_where_seeds_are_shared(share: str | None, more: int, tmp_path: Path):
    words = ["--share", "train.runs.ranks"] if share else []
    write_params(tmp_path, {"train.runs.ranks": share})
    (tmp_path / "told.py").write_text("import os\nopen(f'rank-{os.environ[\"RANK\"]}', 'x')\n")
    done = run(tmp_path, "stages.common.launch", *words, "told", PET_NPROC_PER_NODE="auto")
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.glob("rank-*"))) == len(os.sched_getaffinity(0)) + more


def test_one_process_and_two_write_the_same_bytes(tmp_path: Path):
    written = []
    for processes in ("1", "2"):
        folder = tmp_path / processes
        folder.mkdir()
        write_params(folder, {**TINY, "sets.wild.identities": 16, "sets.wild.images": 8})  # four shards
        done = run(folder, "stages.common.launch", "stages.sets", "wild", PET_NPROC_PER_NODE=processes)
        assert done.returncode == 0, done.stderr
        written.append({file.name: file.read_bytes() for file in (folder / "data/sets/wild").iterdir()})
        assert not any((folder / ".scratch").iterdir())
    assert len(written[0]) == 4 and written[0] == written[1]


GALLERY = {**TINY, "gallery.identities": 4}


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """Work in a folder that holds the tiny parameters."""
    write_params(tmp_path, GALLERY)
    with working_in(tmp_path):
        yield tmp_path


def test_a_stage_that_fails_keeps_what_it_has_for_the_next_try(tiny: Path):
    with pytest.raises(RuntimeError, match="killed"), ranks.kept("gallery") as folder:
        (folder / "done").write_text("half")
        raise RuntimeError("killed")
    with ranks.kept("gallery") as folder:
        assert (folder / "done").read_text() == "half"
    assert not folder.exists()
