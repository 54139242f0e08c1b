"""Profiles: every one names keys that exist, and what it gives is valid."""

import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dvc.utils.hydra import apply_overrides
from ruamel.yaml import YAML
from tiny import ENVIRONMENT, ROOT, git_and_dvc

from stages import validate
from stages.common import params
from stages.common.errors import InputError
from stages.tools import profile
from stages.training import optimisers
from stages.training.batches import batches
from stages.training.learner import Learner
from stages.training.samples import Samples
from stages.training.settings import Train

RECIPES = [name for name in profile.names() if set(params.read(profile.PROFILES / f"{name}.yaml")) == {"train"}]
DATA = [name for name in profile.names() if name not in RECIPES]
PEOPLE, EACH, SIZE_PX = 6, 4, 32


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


@pytest.mark.parametrize("name", profile.names())
def test_its_training_builds_and_takes_a_step(fresh: Path, name: str):
    """With few channels and small faces; head, optimiser, schedule and augmentation are the profile's."""
    profile.apply(name)
    cfg = _tiny(params.read()["train"])
    samples = _noise(mixed=any(variant.get("mixed") for variant in params.read()["variants"].values()))
    batch = next(batches(samples, 1, cfg.batch, seed=0, augment=cfg.augment, mix=cfg.loader.psi))
    learner = Learner(samples.classes, cfg, seed=0)
    before = [p.detach().clone() for p in learner.names.values() if p.requires_grad]
    loss = learner.learn(batch, cfg.head.margin, cfg.learning_rate * optimisers.rate(0, cfg.epochs or 1, cfg.schedule))
    after = [p for p in learner.names.values() if p.requires_grad]
    assert np.isfinite(loss) and learner.step == 1
    assert all(torch.isfinite(y).all() and not x.equal(y) for x, y in zip(before, after, strict=True))


def _tiny(values: dict[str, Any]) -> Train:
    changes = {
        "levels": {"widths": [8] * 4, "blocks": [1] * 4}, "embedding_size": 16, "batch": 8,
        "input": values["input"] | {"size_px": SIZE_PX},
    }  # fmt: skip
    return params.check("train", values | changes, Train)


def _noise(mixed: bool) -> Samples:
    who = np.repeat(np.arange(PEOPLE), EACH)
    faces = np.random.default_rng(0).integers(0, 256, (len(who), SIZE_PX, SIZE_PX, 3), np.uint8)
    mix = (who >= PEOPLE - 2) & mixed
    return Samples(faces, who, who, np.ones(len(who), np.float32), mix, PEOPLE, augment=False)


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("data", DATA)
def test_a_recipe_lies_over_the_profile_of_any_data(fresh: Path, name: str, data: str):
    """It brings the training but for the way of mixing domains; all else is that of the data."""
    words = {each: [word for word in profile.main([each]).split() if word != "-S"] for each in (name, data)}
    values = {}
    for laid in ([name], [data], [data, name]):
        (fresh / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
        apply_overrides("params.yaml", [word for each in laid for word in words[each]])
        values[tuple(laid)] = params.read()
    assert validate.validate(Path("params.yaml")) > 100
    alone, without, both = values.values()
    without["train"] |= {key: value for key, value in alone["train"].items() if key not in ("loader", "samples")}
    assert both == without


@pytest.mark.parametrize("name", profile.names())
def test_every_drop_of_the_rate_falls_within_the_training(fresh: Path, name: str):
    profile.apply(name)
    cfg = params.load("train", Train)
    length = cfg.epochs or 1
    end = optimisers.rate(length, length, cfg.schedule)
    wanted = cfg.schedule.factor ** len(cfg.schedule.drops) if cfg.schedule.name == "steps" else 0
    assert end == pytest.approx(wanted, abs=1e-9) and all(drop < length for drop in cfg.schedule.drops)


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
    """`dvc exp run` itself reads the line, in a repository of one stage; a recipe and a later -S win."""
    git_and_dvc(fresh)
    stage = {"stages": {"show": {"cmd": "cat params.yaml > shown", "deps": ["params.yaml"], "outs": ["shown"]}}}
    with (fresh / "dvc.yaml").open("w") as stream:
        YAML(typ="safe").dump(stage, stream)
    for command in ("git add .", "git commit -qm one"):
        subprocess.run(command.split(), cwd=fresh, check=True)
    options = [word for name in ("smoke", "adaface") for word in profile.main([name]).split()]
    command = [sys.executable, "-m", "dvc", "exp", "run", "-q", *options, "-S", "pack.alpha=0.3"]
    subprocess.run(command, cwd=fresh, check=True)
    shown = params.read(fresh / "shown")
    assert set(shown["variants"]) == {"base", "wild"} and shown["pack"]["alpha"] == 0.3
    for name in ("smoke", "adaface"):
        assert _within(params.read(profile.PROFILES / f"{name}.yaml")["train"], shown["train"])


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
    assert done.stderr.startswith(f"error: no profile 'smok'; allowed: {', '.join(profile.names())}")
    assert "unrecognized arguments: --no-such-profile" in done.stderr


def test_they_are_listed_with_their_first_line(fresh: Path):
    lines = profile.main([]).splitlines()
    assert len(lines) == len(profile.names()) and any(line.startswith("smoke ") and "chain" in line for line in lines)
