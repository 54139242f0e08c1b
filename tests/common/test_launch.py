"""The launcher: what it keeps, what it refuses, and how it ends when others end, in a repository of one stage."""

import errno
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from making import ALONE, RANKS, change, lines_of, outputs, start, start_as_dvc_does, wait_for
from tiny import ENVIRONMENT, working_in

from stages.common import launch, pipeline, scratch, stage
from stages.common.errors import InputError
from stages.packing import tiles

BROUGHT_BACK = "make: brought back the outputs of an earlier run"


def ran(started: subprocess.Popen[str]) -> str:
    printed, errors = started.communicate(timeout=60)
    assert started.returncode == 0, errors
    return printed


def edit(folder: Path, text: str) -> None:
    """Let the stage do something before it ends well."""
    file = folder / "make.py"
    file.write_text(file.read_text().replace('    return "made"', f'    {text}\n    return "made"'))


def test_parameters_that_change_meanwhile_are_one_line_and_nothing_is_lost(made: Path):
    before = outputs(made)
    edit(made, 'Path("params.yaml").write_text("word: third\\nend: well\\n")')
    change(made)
    error, restored = lines_of(start_as_dvc_does(made, RANKS))
    assert error == "error: params.yaml: word = 'second': became 'third' while the stage ran; run it again"
    assert restored.startswith("restored: ") and outputs(made) == before


def test_what_the_changed_run_made_is_there_once_the_value_is_set_back(made: Path):
    edit(made, 'Path("params.yaml").write_text("word: third\\nend: well\\n")')
    change(made)
    lines_of(start_as_dvc_does(made, ALONE))
    change(made)
    assert BROUGHT_BACK in ran(start(made, "dvc", "repro"))
    assert outputs(made)["data/make/word"] == "second"


def test_a_dependency_that_changes_meanwhile_is_one_line(made: Path):
    edit(made, 'Path("make.py").write_text(Path("make.py").read_text() + "#")')
    assert lines_of(start_as_dvc_does(made, ALONE))[0] == "error: make.py: changed while the stage ran; run it again"


def test_a_stage_reads_one_state_of_its_parameters(made: Path):
    edit(made, 'change(); values = params.read(); assert values["word"] == "second"; change("second")')
    file = made / "make.py"
    code = "def change(word='third'):\n    Path('params.yaml').write_text(f'word: {word}\\nend: well\\n')\n\ndef main"
    file.write_text(file.read_text().replace("def main", code))
    change(made)
    ran(start_as_dvc_does(made, ALONE))


def test_outputs_are_kept_until_dvc_has_recorded_them(made: Path):
    """As where DVC is killed after the stage has ended, before it has stored what it made."""
    change(made)
    assert "made (" in ran(start_as_dvc_does(made, ALONE))
    after = outputs(made)
    assert BROUGHT_BACK in ran(start(made, "dvc", "repro"))
    assert outputs(made) == after
    assert "made (" in ran(start_as_dvc_does(made, ALONE))  # recorded: asked to run again, it runs
    with working_in(made):
        scratch.sweep("another", "key")
    assert not (made / ".scratch/make").exists()


def test_leftovers_of_the_killed_are_swept(made: Path):
    for name in (".tmp-999999999-make-old", ".tmp-make-xyz"):
        (made / "data" / name).mkdir()
    (made / "reports/.tmp-999999999-make.json").touch()
    (living := made / f"data/.tmp-{os.getpid()}-other").touch()
    (made / ".scratch/make/oldkey").mkdir(parents=True)
    change(made)
    ran(start_as_dvc_does(made, ALONE))
    assert [file for folder in ("data", "reports") for file in (made / folder).glob(".tmp-*")] == [living]
    assert not (made / ".scratch/make/oldkey").exists()


def test_a_second_run_is_refused(made: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(scratch, "PATIENCE_S", 0)
    with working_in(made):
        with (
            scratch.exclusive("make"),
            pytest.raises(InputError, match="another run of make is under way"),
            scratch.exclusive("make"),
        ):
            pass
        with scratch.exclusive("make"):
            pass
        assert not list(Path(".scratch").glob("*.lock"))


def test_a_disk_without_locks_is_one_line(made: Path, monkeypatch: pytest.MonkeyPatch):
    def none(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", none)
    with working_in(made), pytest.raises(OSError, match="no lock on this disk") as caught, scratch.exclusive("make"):
        pass
    assert stage.error_line(caught.value).startswith("error: .scratch/make.lock: no lock on this disk")


def test_the_state_of_a_stage_sees_behind_links(made: Path):
    (made / "behind").mkdir()
    (made / "behind/file").write_text("one")
    (made / "dep").mkdir()
    (made / "dep/link").symlink_to(made / "behind")
    (made / "behind/circle").symlink_to(made / "dep")
    text = (made / "dvc.yaml").read_text()
    (made / "dvc.yaml").write_text(text.replace("deps: [make.py]", "deps: [make.py, dep]"))
    with working_in(made):
        before = pipeline.state("make")
        assert set(before.files) == {"make.py", "dep/link/file"}
        (made / "behind/file").write_text("another")
        assert pipeline.state("make").key() != before.key()


def test_a_stage_started_by_hand_is_refused_beside_another(made: Path):
    change(made, "hangs")
    first = start(made, "make")
    wait_for(made / "hangs", first)
    assert "another run of make is under way" in lines_of(start(made, "make"))[0]
    first.kill()
    first.communicate()


DVC = "import os, subprocess, sys, time; p = subprocess.Popen(sys.argv[1:]); print(p.pid, flush=True); p.wait()"


def start_under_dvc(folder: Path, words: tuple[str, ...]) -> subprocess.Popen[str]:
    """Start a stage below a process that is called dvc."""
    (folder / "dvc").write_text(DVC)
    shutil.rmtree(folder / "data/make", ignore_errors=True)
    environment = {**ENVIRONMENT, "DVC_STAGE": "make", "PET_NPROC_PER_NODE": "2"}
    command = [sys.executable, "dvc", sys.executable, "-m", *words]
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")
@pytest.mark.parametrize(("words", "when"), [(ALONE, 0), (RANKS, 0.3), (RANKS, None)])
def test_a_stage_whose_dvc_is_killed_ends_and_the_outputs_are_back(made: Path, words: tuple[str, ...], when: float):
    before = outputs(made)
    change(made, "hangs")
    dvc = start_under_dvc(made, words)
    assert dvc.stdout
    launcher = int(dvc.stdout.readline())
    wait_for(made / "hangs", dvc) if when is None else time.sleep(when)
    dvc.kill()
    dvc.communicate(timeout=20)  # ends when no process of the stage is left that could write there
    time.sleep(0.2)
    assert not alive(launcher)
    assert outputs(made) == before


def test_a_stage_whose_dvc_has_gone_already_does_not_begin(made: Path):
    change(made)
    shutil.rmtree(made / "data/make")
    assert lines_of(start(made, *ALONE, DVC_STAGE="make")) == ["error: interrupted", "restored: data/make"]


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")
def test_a_stage_started_by_hand_outlives_its_shell(made: Path):
    change(made, "hangs")
    shell = f"nohup {sys.executable} -m make > nohup.log 2>&1 & echo $!"
    done = subprocess.run(shell, shell=True, cwd=made, env=ENVIRONMENT, capture_output=True, text=True, check=True)
    process = int(done.stdout)
    deadline = time.monotonic() + 20
    while not (made / "hangs").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)  # more than twice what it would take to notice
    assert alive(process)
    os.kill(process, signal.SIGKILL)


CLUSTER = {
    "WORLD_SIZE": "4",
    "RANK": "1",
    "MASTER_ADDR": "10.255.255.1",
    "MASTER_PORT": "1",
    "GLOO_SOCKET_IFNAME": "no0",
}


@pytest.mark.parametrize("words", [("make",), RANKS], ids=["by hand", "ranks"])
def test_the_variables_of_a_job_around_a_stage_are_not_its_own(made: Path, words: tuple[str, ...]):
    edit(made, "from stages.common import ranks; ranks.barrier()")
    change(made)
    assert "made (" in ran(start(made, *words, **CLUSTER))


def test_the_first_rank_to_fail_ends_the_others(tmp_path: Path):
    fails = "if os.environ['RANK'] == '1':\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    (tmp_path / "half.py").write_text(f"import os, signal, time\n{fails}time.sleep(90)\n")
    assert lines_of(start(tmp_path, "stages.common.launch", "--ranks", "2", "half")) == ["error: a rank ended with -9"]


PORTS = """
import os
from pathlib import Path
from stages.common import ranks, stage

def main():
    ranks.barrier()
    links = [link for process in ("self", os.getppid()) for link in Path(f"/proc/{process}/fd").iterdir()]
    mine = {os.readlink(link) for link in links if link.is_symlink()}
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/self/net/{table}").read_text().splitlines()[1:]:
            address, state, inode = (line.split()[i] for i in (1, 3, 9))
            if state == "0A" and f"socket:[{inode}]" in mine and not address.startswith("0100007F"):
                raise ValueError(f"listens at {address}")
    ranks.barrier()
    return "no port is open"

stage.run(main)
"""


# as on a machine with a GPU, where torchrun starts the ranks
BY_TORCHRUN = """
import sys, torch
from stages.common import launch

torch.cuda.is_available = lambda: True
sys.exit(launch.main())
"""


@pytest.mark.skipif(not Path("/proc/self/net/tcp").exists(), reason="needs /proc")
@pytest.mark.parametrize("launcher", ["stages.common.launch", "by_torchrun"])
def test_ranks_of_one_machine_open_no_port_to_others(launcher: str, tmp_path: Path):
    (tmp_path / "ports.py").write_text(PORTS)
    (tmp_path / "by_torchrun.py").write_text(BY_TORCHRUN)
    assert "no port is open" in ran(start(tmp_path, launcher, "ports"))


def test_scratch_that_cannot_be_written_is_one_line(made: Path):
    (made / "file").touch()
    change(made)
    for words in (ALONE, ("make",)):
        lines = lines_of(start(made, *words, FACESPHERE_SCRATCH="file/below"))
        assert lines == ["error: file/below: Not a directory"]


def test_a_full_disk_is_one_line_that_names_the_file(made: Path):
    edit(made, "import resource, numpy; resource.setrlimit(resource.RLIMIT_FSIZE, (999, 999))")
    edit(made, 'artifacts.write_array("data/big.npy", numpy.zeros(1000))')
    change(made)
    lines = lines_of(start(made, *ALONE))
    assert len(lines) == 1 and "data/" in lines[0] and "big.npy" in lines[0]


def test_a_long_error_is_cut_in_its_middle():
    line = stage.error_line(ValueError("params.yaml:\nx = " + "y" * 10_000 + "; allowed: z"))
    assert line.count("\n") == 1 and len(line) < 450
    assert line.startswith("error: params.yaml: x = yyy") and line.endswith("y; allowed: z\n")


@pytest.mark.parametrize("bad", ["x; touch P", "../../CONTRIBUTING.md", "-x", "", "é", "a" * 65, "a.b"])
def test_a_name_from_dvc_is_letters_digits_and_dashes(bad: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DVC_STAGE", f"train@{bad}")
    with pytest.raises(ValueError, match="bad name|expected one argument"):
        stage.name("NAME")
    monkeypatch.setenv("DVC_STAGE", "../dvc.yaml:train@identity-mixup_2")
    assert stage.name("NAME") == "identity-mixup_2"


@pytest.mark.parametrize("bad", ["../../made", "x; touch P"])
def test_a_bad_name_is_one_line_and_writes_nothing(bad: str, made: Path):
    before = sorted(made.parent.rglob("*"))
    lines = lines_of(start(made, "stages.common.launch", "--ranks", "1", "make", bad))
    assert len(lines) == 1 and "bad name" in lines[0]
    assert sorted(made.parent.rglob("*")) == before


def test_no_command_of_dvc_yaml_holds_a_name_of_the_users():
    for entry in pipeline._stages().values():
        assert "$" not in entry.get("do", entry)["cmd"]


def test_a_bad_name_costs_no_file(made: Path):
    """DVC removes the outputs of a stage before anybody sees the stage's name."""
    text = (made / "dvc.yaml").read_text()
    (made / "dvc.yaml").write_text(text.replace("data/make]", "data/make, victim]"))
    (made / "victim").write_text("mine")
    subprocess.run("git add victim && git commit -qm mine", shell=True, cwd=made, check=True)
    change(made, "refused")
    (made / "victim").unlink()
    assert "victim" in lines_of(start_as_dvc_does(made, ALONE))[-1]
    assert (made / "victim").read_text() == "mine"


def test_the_hash_of_outputs_is_that_of_dvc(made: Path):
    with working_in(made):
        recorded = scratch._recorded("make")
        assert recorded == {
            path: scratch._md5(Path(path)) for path in ("data/make", "reports/make.json", "reports/figures")
        }


SIZE = """
from stages.common import ranks, stage

def main():
    ranks.barrier()
    return f"{ranks.size()} ranks"

stage.run(main)
"""


@pytest.mark.parametrize(("rows", "ranks"), [(2 * launch.ROWS - 1, 1), (2 * launch.ROWS, 2), (99 * launch.ROWS, 3)])
def test_rows_are_shared_where_ranks_gain(rows: int, ranks: int, tmp_path: Path):
    (tmp_path / "size.py").write_text(SIZE)
    (tmp_path / "params.yaml").write_text(f"pack: {{identities: {rows}}}\n")
    words = ("stages.common.launch", "--rows", "pack.identities", "size")
    assert launch.ROWS == tiles.TILE
    assert f"{ranks} ranks" in ran(start(tmp_path, *words, PET_NPROC_PER_NODE="3"))


def test_rows_that_are_no_number_are_left_for_the_stage_to_refuse(made: Path):
    change(made, "refused")
    lines = lines_of(start(made, "stages.common.launch", "--rows", "word", "make"))
    assert lines == ["error: params.yaml: word = 'second'; allowed: another"]
