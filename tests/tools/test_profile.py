"""Profiles: every one names keys that exist, and what it gives is valid."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from tiny import ENVIRONMENT, ROOT, git_and_dvc

from stages import validate
from stages.common import params
from stages.common.errors import InputError
from stages.tools import profile


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", profile.names())
def test_a_profile_applies_and_validates(fresh: Path, name: str):
    before = (fresh / "params.yaml").read_text()
    profile.apply(name)
    assert validate.validate(Path("params.yaml")) > 100
    assert (fresh / "params.yaml").read_text() != before
    wanted = params.read(profile.PROFILES / f"{name}.yaml")
    assert _within(wanted, params.read())
    for section in ("sets", "variants"):
        assert set(wanted.get(section, params.read()[section])) == set(params.read()[section])


def _within(part: object, whole: object) -> bool:
    if isinstance(part, dict) and isinstance(whole, dict):
        return all(key in whole and _within(value, whole[key]) for key, value in part.items())
    return part == whole


@pytest.mark.parametrize("name", profile.names())
def test_its_options_are_words_of_a_shell(fresh: Path, name: str):
    """`$(...)` splits at blanks and nowhere else, and takes quotes as they are."""
    line = profile.main([name])
    assert shlex.split(line) == line.split() and all(w == "-S" for w in line.split()[::2])


@pytest.mark.parametrize("name", profile.names())
def test_a_profile_says_what_it_costs(name: str):
    head = [line for line in (profile.PROFILES / f"{name}.yaml").read_text().splitlines() if line.startswith("#")]
    assert any("images" in line and line.startswith("# Cost:") for line in head)


def test_comments_of_the_parameters_stay(fresh: Path):
    profile.apply("smoke")
    assert "weight of the gallery term" in (fresh / "params.yaml").read_text()


def test_an_experiment_of_dvc_takes_the_options(fresh: Path):
    """`dvc exp run` itself reads the line, in a repository of one stage; a later -S wins."""
    git_and_dvc(fresh)
    stage = {"stages": {"show": {"cmd": "cat params.yaml > shown", "deps": ["params.yaml"], "outs": ["shown"]}}}
    with (fresh / "dvc.yaml").open("w") as stream:
        YAML(typ="safe").dump(stage, stream)
    for command in ("git add .", "git commit -qm one"):
        subprocess.run(command.split(), cwd=fresh, check=True)
    options = profile.main(["smoke"]).split()
    command = [sys.executable, "-m", "dvc", "exp", "run", "-q", *options, "-S", "pack.alpha=0.3"]
    subprocess.run(command, cwd=fresh, check=True)
    shown = params.read(fresh / "shown")
    assert set(shown["variants"]) == {"base", "wild"} and shown["pack"]["alpha"] == 0.3
    assert shown["train"]["samples"] == params.read(profile.PROFILES / "smoke.yaml")["train"]["samples"]


def test_what_is_not_there_is_refused(fresh: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(InputError) as refused:
        profile.main(["none"])
    assert (refused.value.problem, refused.value.allowed) == ("no profile 'none'", ", ".join(profile.names()))
    monkeypatch.setattr(profile, "PROFILES", fresh)
    (fresh / "bad.yaml").write_text("# bad\npack: {alfa: 1}\n")
    with pytest.raises(InputError) as refused:
        profile.main(["bad"])
    assert refused.value.file == str(fresh / "bad.yaml")
    assert refused.value.problem == "pack.alfa is not a key of params.yaml"
    assert refused.value.allowed == ", ".join(params.read()["pack"])


def test_dvc_runs_nothing_where_the_profile_is_mistyped(fresh: Path):
    line = f"{sys.executable} -m dvc exp run $({sys.executable} -m stages.tools.profile smok)"
    done = subprocess.run(line, shell=True, cwd=fresh, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode != 0 and "Running stage" not in done.stdout
    assert done.stderr.startswith("error: no profile 'smok'; allowed: hyperface-10k")
    assert "unrecognized arguments: --no-such-profile" in done.stderr


def test_they_are_listed_with_their_first_line(fresh: Path):
    lines = profile.main([]).splitlines()
    assert len(lines) == len(profile.names()) and any(line.startswith("smoke ") and "chain" in line for line in lines)
