"""Plans of studies: every experiment is valid, reaches DVC as it was planned, and a grid is what its file says."""

import math
from pathlib import Path
from typing import Any

import pytest
from dvc.utils.hydra import apply_overrides
from ruamel.yaml import YAML
from tiny import ROOT

from stages.common import params
from stages.common.errors import InputError
from stages.common.variants import Variants
from stages.tools import study, study_cost, study_plan
from stages.tools.study_plan import Experiment

STUDIES = ["alpha", "domain-mixup", "identities", "intra", "scale", "width-depth"]
HOURS = 2  # that each may take on two cores
SMALL: dict[str, Any] = {
    "question": "Which?",
    "size": "Small.",
    "seeds": 5,
    "parameters": {"variants": {"base": {"source": "audit", "mix": "none", "width": 30, "depth": 4}}},
    "axes": {"pull": {"weak": {"pack": {"alpha": 0.1}}, "strong": {"pack": {"alpha": 2.0}}},
             "noise": {"none": {"generate": {"perturbation": "none"}}, "some": {}}},
    "contrasts": [{"axis": "pull", "of": ["strong"], "against": "weak", "expected": 1}],
    "primary": {"of": "strong-some", "against": "weak-some"},
    "published": [],
    "differences": [],
}  # fmt: skip


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with the repository's params.yaml, and return where studies are read from."""
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    folder = tmp_path / "stages" / "studies"
    folder.mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(study_plan, "STUDIES", folder)
    return folder


def write(folder: Path, **changes: Any) -> None:
    with (folder / "own.yaml").open("w") as stream:
        YAML().dump({**SMALL, **changes}, stream)  # in this order


def test_the_studies_that_were_asked_for_are_there():
    assert set(STUDIES) <= set(study_plan.names())  # a user's own may stand beside them


@pytest.mark.parametrize("tiny", [False, True], ids=["real", "tiny"])
@pytest.mark.parametrize("name", STUDIES)
def test_a_study_is_valid_and_fits_two_hours(name: str, tiny: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)
    plan = study_plan.plan(name, tiny)  # which validates every experiment
    assert tiny or all(len(e.values["train"]["runs"]["seeds"]) >= 5 for e in plan.experiments)
    assert len({e.name for e in plan.experiments}) == len(plan.experiments)
    assert len(plan.arms()) == sum(len(e.values["variants"]) for e in plan.experiments)
    assert sum(study_cost.estimates(plan.experiments, cores=2).values()) < HOURS * 3600 / (10 if tiny else 1)


@pytest.mark.parametrize("name", STUDIES)
def test_dvc_makes_of_the_overrides_what_was_planned(name: str, own: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(study_plan, "STUDIES", ROOT / "stages" / "studies")
    for experiment in study_plan.plan(name, tiny=name == "scale").experiments[::-4]:
        overrides = experiment.overrides()
        apply_overrides("params.yaml", overrides)
        assert params.read() == experiment.values
        Path("params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())


def test_a_grid_has_an_experiment_for_each_choice_of_levels(own: Path):
    write(own)
    plan = study_plan.plan("own")
    assert [e.name for e in plan.experiments] == [
        "own-weak-none", "own-weak-some", "own-strong-none", "own-strong-some",
    ]  # fmt: skip
    first = plan.experiments[0].values
    assert (first["pack"]["alpha"], first["generate"]["perturbation"]) == (0.1, "none")
    assert first["train"]["runs"]["seeds"] == [0, 1, 2, 3, 4] and set(first["variants"]) == {"base"}
    asked = [(q.of, q.against, q.expected, q.primary) for q in plan.questions()]
    assert asked == [("strong-some", "weak-some", 1, True), ("strong-none", "weak-none", 1, False)]


def test_training_sets_of_one_experiment_are_an_axis(own: Path):
    sets = {name: {**SMALL["parameters"]["variants"]["base"], "depth": depth} for name, depth in (("a", 3), ("b", 4))}
    across = {"axis": "pull", "of": ["weak"], "against": "strong"}
    contrasts = [{"axis": "variant", "of": ["b"], "against": "a"}, across]
    grid = {"parameters": {"variants": sets}, "axes": {"pull": SMALL["axes"]["pull"]}, "contrasts": contrasts}
    write(own, **grid, primary={"of": "weak-b", "against": "weak-a"})
    asked = [(q.of, q.against) for q in study_plan.plan("own").questions()]
    assert asked == [("weak-b", "weak-a"), ("strong-b", "strong-a"), ("weak-a", "strong-a"), ("weak-b", "strong-b")]


def test_a_training_set_is_named_where_any_experiment_has_a_second_one(own: Path):
    one = {"drawn": SMALL["parameters"]["variants"]["base"]}
    sizes = {"1": {"variants": one | {"wild": {**one["drawn"], "depth": 3}}}, "3": {"variants": one}}
    contrasts = [{"axis": "times", "of": ["3"], "against": "1"}]
    write(own, axes={"times": sizes}, contrasts=contrasts, primary={"of": "3-drawn", "against": "1-drawn"})
    assert list(study_plan.plan("own").arms()) == ["1-drawn", "1-wild", "3-drawn"]


@pytest.mark.parametrize(
    ("changes", "file", "key", "value"),
    [
        ({"seeds": 4}, "own.yaml", "study.seeds", 4),
        ({"parameters": {"pack": {"alfa": 1}}}, "own.yaml", "pack.alfa", None),
        ({"parameters": {"pack": {"alpha": -1}}, "axes": {}}, "own.yaml", "own: pack.alpha", -1),
        ({"contrasts": [{"axis": "pull", "of": ["none"], "against": "weak"}]}, "own", "pull", "none against weak"),
        ({"contrasts": [{"axis": "pull", "of": ["strong", "stronk"], "against": "weak"}]}, "own", "pull",
         "stronk against weak"),
        ({"contrasts": SMALL["contrasts"] * 2}, "own", "contrasts", "strong-none and weak-none"),
        ({"axes": {"a": {"x": {}, "x-y": {}}, "b": {"y-z": {}, "z": {}}}}, "own", "axes", "x-y-z"),
        ({"x": "pack.alhpa"}, "own.yaml", "x", "pack.alhpa"),
        ({"parameters": {"train": {"runs": {"seeds": [0, 1]}}}}, "own.yaml", "study.parameters.train.runs.seeds", None),
        ({"axes": {"pull": {"weak": {}, "strong": {"evaluate": {"replicates": 9}}}}}, "own.yaml",
         "study.axes.pull.strong.evaluate", None),
        ({"contrasts": [{"axis": "pull", "of": ["weak"], "against": "weak"}]}, "own.yaml",
         "study.contrasts.0.against", "weak"),
        ({"primary": {"of": "weak-some", "against": "weak-none"}}, "own", "primary", "weak-some - weak-none"),
    ],
    ids=["seeds", "key", "invalid", "contrast", "level", "contrast twice", "names", "x", "own seeds", "evaluate",
         "itself", "primary"],
)  # fmt: skip
def test_a_wrong_study_is_refused_by_its_key(own: Path, changes: dict[str, Any], file: str, key: str, value: Any):
    write(own, **changes)
    with pytest.raises(InputError) as refused:
        study_plan.plan("own")
    assert Path(str(refused.value.file)).name == file and refused.value.key == key
    assert value is None or refused.value.value == value


def test_an_unknown_study_is_refused_with_those_that_there_are():
    with pytest.raises(InputError) as refused:
        study_plan.load("nowhere")
    assert refused.value.allowed == ", ".join(study_plan.names())


def test_what_is_listed_and_planned_fits_a_terminal(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)
    texts = [study.listing(), *(study.planned(study_plan.plan(name)) for name in study_plan.names())]
    assert max(len(line) for text in texts for line in text.splitlines()) <= 80


def planned(**sections: Any) -> Experiment:
    """Return an experiment with the repository's parameters, but for these."""
    values = params.read(ROOT / "params.yaml")
    return Experiment("one", {}, {**values, **{key: {**values[key], **part} for key, part in sections.items()}})


def seconds(*experiments: Experiment, cores: int = 1) -> float:
    """Return the estimate of the last of these experiments."""
    numbered = [Experiment(str(i), {}, e.values) for i, e in enumerate(experiments)]
    return list(study_cost.estimates(numbered, cores).values())[-1]


def test_what_experiments_share_is_counted_once():
    default = planned()
    stages = study_cost.FIXED + 3 * len(default.values["variants"])
    assert seconds(default, default) == pytest.approx(stages * study_cost.STAGE_S)
    other = planned(pack={"alpha": 1.0})  # packs, draws and trains anew; of eight training sets two are wild
    trained = 6 * 3 * (18000 * study_cost.SAMPLE + study_cost.EVALUATION)
    drawn = (8200 + 4200 + 3 * 150 * 4) * study_cost.IMAGE["generate"] + (420 + 3 * 150) * study_cost.ROW
    assert seconds(default, other) - stages * study_cost.STAGE_S == pytest.approx(
        trained + drawn + (8200 + 4200 + 3 * 150 * 4) * study_cost.IMAGE["audit"]
    )


def test_the_default_pipeline_takes_about_what_it_took():
    """On two cores, 460 to 600 seconds (reports/log.md)."""
    assert 460 < seconds(planned(), cores=2) < 600


def test_a_log_gives_the_seconds_of_the_stages_that_ran():
    log = (
        "Stage 'gallery' is cached - skipping run, checking out outputs\n"
        "Running stage 'validate':\n> a\n> b\nvalidate: in order -> data/validate (0.2 s)\n"
        "Running stage 'train@base':\n> c\ntrain base: 50%|##  | 120/240 [00:02<00:02, 57.8img/s]\n"
        "train base: 5 seeds on 36 images -> data/train/base (41.5 s)\n"
    )
    assert study_cost.measured(log) == {"validate": 0.2, "train@base": 41.5}


def test_a_training_set_costs_the_stages_that_it_depends_on():
    seconds = {"pack": 1.0, "sets@wild": 2.0, "sets@other": 4.0, "train@own": 8.0, "train@wild": 16.0, "train@x": 32.0}

    def spent(name: str, source: str, **mix: Any) -> dict[str, float]:
        return study_cost.spent(seconds, name, Variants(source=source, width=3, depth=4, **{"mix": "none", **mix}))

    assert spent("own", "audit") == {"pack": 1, "train": 8}
    assert spent("wild", "sets/wild") == {"sets": 2, "train": 16}
    assert spent("x", "sets/wild", mix="sets/other", mixed=2) == {"sets": 6, "train": 32}
    assert spent("x", "audit", mix="sets/other", mixed=2) == {"pack": 1, "sets": 4, "train": 32}


def test_tiny_sizes_keep_their_order():
    counts = [30, 50, 60, 100, 250, 300, 420, 500, 600, 840, 1500, 3000, 9000]
    small = [study_plan._people(count) for count in counts]
    assert sorted(small) == small and max(small) < 30 and small[1] < small[3] < small[4]
    depths = [study_plan._images(count) for count in (0, 1, 2, 5, 10, 20, 50)]
    assert depths == [0, 1, 2, 3, 4, 5, 6] and all(math.isfinite(depth) for depth in depths)
