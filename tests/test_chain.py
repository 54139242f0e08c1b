"""The tiny pipeline from end to end: in this process, and as DVC runs it."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_pipeline import STAGES, code, files
from tiny import CHAIN, ENVIRONMENT, ROOT, TINY, git_and_dvc, write_params

from stages.common import artifacts

VARIANTS = {name: TINY["variants"][name] for name in ("base", "wild")}
GAP = {"gap": TINY["report"]["contrasts"]["gap"]}  # the contrast of these two
SMALL = {**TINY, "variants": VARIANTS, "report": {**TINY["report"], "contrasts": GAP}}
SOURCES = ("stages", "dvc.yaml", "params.yaml", "dvc.lock", "data/external")


def test_every_stage_leaves_its_outputs(chain: Path):
    for stage in CHAIN:
        assert (chain / "data" / "/".join(stage.split())).exists() or stage == "report", stage
    metrics = artifacts.read_json(chain / "reports" / "metrics.json")
    assert set(TINY["variants"]) <= set(metrics)
    for name in TINY["variants"]:
        assert 0.3 < metrics[name]["wild_accuracy"] < 0.9  # barely trained, but measured
    page = (chain / "reports" / "index.html").read_text()
    assert "http://" not in page.replace("http://www.w3.org", "") and "<script src" not in page


def test_nothing_is_left_over(chain: Path):
    assert not list((chain / ".scratch").iterdir())
    assert not [file for folder in ("data", "reports") for file in (chain / folder).rglob(".tmp-*")]


def dvc(folder: Path, *words: str, fails: bool = False) -> str:
    """Run DVC; returns all that it and the stages print."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = [sys.executable, "-m", "dvc", *words]
    environment = {**ENVIRONMENT, "PYTHONPATH": str(folder), "PATH": path}
    done = subprocess.run(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert bool(done.returncode) == fails, done.stdout
    return done.stdout


def ran(printed: str) -> set[str]:
    return set(re.findall(r"Running stage '(.+)'", printed))


def changed(folder: Path) -> set[str]:
    """Return the stages of which a dependency, a parameter or an output is not as dvc.lock has it."""
    return set(json.loads(dvc(folder, "status", "--json")))


def contents(folder: Path) -> dict[str, bytes]:
    files = (file for part in ("data", "reports") for file in (folder / part).rglob("*"))
    return {
        str(name): file.read_bytes()
        for file in files
        if file.is_file() and not (name := file.relative_to(folder)).is_relative_to("data/external")
    }


@pytest.fixture(scope="module")
def repository(chain: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository of git and DVC that holds the tiny pipeline with two variants, recorded in dvc.lock."""
    folder = tmp_path_factory.mktemp("repository")
    others = set(TINY["variants"]) - set(VARIANTS)
    shutil.copytree(chain / "data", folder / "data", ignore=lambda _, names: others & set(names))
    shutil.copytree(chain / "reports", folder / "reports", ignore=lambda _, names: {f"{o}.json" for o in others})
    shutil.copytree(ROOT / "stages", folder / "stages", ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("dvc.yaml", ".gitignore", ".dvcignore"):
        shutil.copy(ROOT / file, folder / file)
    write_params(folder, SMALL)
    git_and_dvc(folder)
    dvc(folder, "commit", "-f", "-q")
    subprocess.run("git add -A && git commit -qm tiny", shell=True, cwd=folder, check=True)
    return folder


@pytest.fixture
def restored(repository: Path, tmp_path: Path) -> Iterator[Path]:
    """Return the repository; what a test does to its sources is undone."""
    for name in SOURCES:
        copy_of = shutil.copytree if (repository / name).is_dir() else shutil.copy
        (tmp_path / name).parent.mkdir(exist_ok=True)
        copy_of(repository / name, tmp_path / name)
    yield repository
    for name in SOURCES:
        shutil.rmtree(repository / name) if (repository / name).is_dir() else (repository / name).unlink()
        (tmp_path / name).rename(repository / name)


def comment(file: Path) -> None:
    file.write_text(file.read_text() + "# a comment\n")


def test_a_comment_in_a_stage_runs_that_stage_and_a_new_alpha_what_depends_on_it(repository: Path, tmp_path: Path):
    folder = shutil.copytree(repository, tmp_path / "copy")
    before = contents(folder)
    comment(folder / "stages/pack.py")
    assert ran(dvc(folder, "repro")) == {"pack"}
    assert contents(folder) == before
    write_params(folder, {**SMALL, "pack.alpha": 0.25})
    assert ran(dvc(folder, "repro", "train")) == {
        "validate", "pack", "generate", "audit", "variants@base", "train@base",
    }  # fmt: skip
    assert changed(folder) == {"evaluate@base", "report"}
    other = {name for name, content in contents(folder).items() if before[name] != content}
    assert {"data/pack/x_id.npy", "reports/pack.json", "data/train/base/seed-0/weights.safetensors"} <= other
    assert not [name for name in other if "wild" in name]


@pytest.fixture(scope="module")
def clone(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a clone that trained with other parameters on what it pulled from a remote."""
    folder, remote = (tmp_path_factory.mktemp(name) for name in ("clone", "remote"))
    subprocess.run(["git", "clone", "-q", repository, folder], check=True)
    for one in (repository, folder):
        dvc(one, "remote", "add", "-q", "--local", "--force", "--default", "shelf", str(remote))
    dvc(repository, "push", "-q")
    write_params(folder, {**SMALL, "train.samples": 64})
    assert ran(dvc(folder, "repro", "--pull", "--allow-missing", "train")) == {"validate", "train@base", "train@wild"}
    return folder


def test_a_clone_pulls_what_training_reads_and_no_more(clone: Path):
    assert {"generate", "sets", "train"} <= {path.name for path in (clone / "data").iterdir()}
    assert not {"gallery", "benchmarks", "evaluate"} & {path.name for path in (clone / "data").iterdir()}


def test_a_flipped_shard_is_noticed_and_the_advice_repairs_it(clone: Path):
    shard = clone / "data/generate/plain-00000.arrow"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:999] + bytes([whole[999] ^ 1]) + whole[1000:])
    printed = dvc(clone, "repro", "-s", "train@base", fails=True)
    assert "plain-00000.arrow: sha256 differs" in printed and "`dvc repro` brings it back" in printed
    dvc(clone, "repro", "--pull", "--allow-missing", "train@base")
    assert shard.read_bytes() == whole and not {"generate", "train@base"} & changed(clone)


NEW_VARIANT = {**VARIANTS, "wide": TINY["variants"]["wide"]}
CHANGES = {  # of params.yaml: the stages concerned; what follows from them is in test_pipeline.py
    "train.samples": (256, {"validate", "train@base", "train@wild", "report"}),
    "variants": (NEW_VARIANT, {"validate", "variants@wide", "train@wide", "evaluate@wide", "report"}),
}


@pytest.mark.parametrize("key", CHANGES)
def test_a_new_value_concerns_only_the_stages_that_read_it(restored: Path, key: str):
    value, stages = CHANGES[key]
    write_params(restored, {**SMALL, key: value})
    assert changed(restored) == stages


@pytest.mark.parametrize("module", ["common/sphere", "metrics/bootstrap", "packing/solver", "training/fit"])
def test_a_change_in_a_module_concerns_the_stages_whose_rooms_hold_it(restored: Path, module: str):
    file = f"stages/{module}.py"
    comment(restored / file)
    assert {stage.split("@")[0] for stage in changed(restored)} == {
        stage for stage in STAGES if any(ROOT / file in files(dep) for dep in code(stage))
    }


BAD: list[tuple[str, Any, str]] = [  # those that DVC itself has to cope with; all others are in test_validate.py
    ("pack.alpha", float("nan"), "params.yaml: pack.alpha = nan: input should be a finite number"),
    ("packing", {"alpha": 0.5}, "params.yaml: packing: not a known section; did you mean pack?"),
    ("generate.backend", "arc3face", "params.yaml: generate.backend = 'arc3face': input should be 'embedded'"),
]


def assert_refused(folder: Path, stage: str, said: str, *words: str) -> None:
    """Assert that `dvc repro` fails in one line of ours, and that every output is as before."""
    before = contents(folder)
    printed = dvc(folder, "repro", *words, fails=True)
    errors = [line for line in printed.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and errors[0].startswith(f"error: {said}"), printed
    assert "Traceback" not in printed and f"failed to reproduce '{stage}'" in printed
    assert contents(folder) == before


@pytest.mark.parametrize(("key", "value", "said"), BAD)
def test_bad_parameters_are_one_line_and_cost_nothing(restored: Path, key: str, value: Any, said: str):
    write_params(restored, {**SMALL, key: value})
    assert_refused(restored, "validate", said)


def test_missing_benchmarks_are_one_line_and_cost_nothing(restored: Path):
    shutil.rmtree(restored / "data/external/benchmarks")
    assert_refused(restored, "validate", "data/external/benchmarks: no such folder; allowed: ")


def test_broken_images_and_shards_are_one_line_and_cost_nothing(restored: Path):
    file = "data/external/benchmarks/own/images/p0/p0_0001.png"
    (restored / file).write_bytes(b"broken")
    assert_refused(restored, "benchmarks", f"{file}: not a readable image", "benchmarks")
    shard = restored / "data/gallery/faces-00000.arrow"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-700])
    assert_refused(restored, "embed", "data/gallery/faces-00000.arrow: truncated", "-s", "embed")
    shard.write_bytes(whole)


def test_a_repro_of_what_is_up_to_date_runs_nothing(repository: Path):
    assert not ran(dvc(repository, "repro"))
