"""Memory of a rank: the machine's, or its control group's where that is less."""

from pathlib import Path

import pytest

from stages.common import memory, stage

GB = 1 << 30


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand for a machine of 64 GB in whose control groups nothing is limited."""
    monkeypatch.setattr(memory, "PROCESS", tmp_path / "cgroup")
    monkeypatch.setattr(memory, "GROUPS", tmp_path / "groups")
    monkeypatch.setattr(memory.os, "sysconf", {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 64 * GB // 4096}.__getitem__)
    return tmp_path


def limit(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"{text}\n")


def test_without_control_groups_it_is_the_machine_s(groups):
    assert memory.total() == 64 * GB


def test_the_tightest_group_around_the_process_limits_it(groups):
    (groups / "cgroup").write_text("0::/job/step\n")
    limit(groups / "groups/job/step/memory.max", "max")
    limit(groups / "groups/job/memory.max", str(3 * GB))
    limit(groups / "groups/other/memory.max", str(GB))
    limit(groups / "memory.max", str(GB))  # outside the groups
    assert memory.total() == 3 * GB


def test_version_1_and_a_container_that_sees_its_own_group_as_the_root(groups):
    (groups / "cgroup").write_text("9:cpu:/other\n4:memory:/docker/7\n0::/\n")
    limit(groups / "groups/memory/memory.limit_in_bytes", str(5 * GB))
    limit(groups / "groups/memory/other/memory.limit_in_bytes", str(GB))
    assert memory.total() == 5 * GB


def test_the_ranks_of_a_machine_share_it(groups, monkeypatch):
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    monkeypatch.delenv(stage.ERROR_FILE, raising=False)
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    assert memory.per_rank() == 64 * GB  # a cluster's job may set the variable
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    assert memory.per_rank() == 16 * GB
