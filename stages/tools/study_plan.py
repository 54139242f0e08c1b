"""Plan a study: read stages/studies/NAME.yaml, and make every experiment's parameters from the repository's.

A study is a grid: an axis has levels, a level is parameters laid over params.yaml, and each way to take one level of
every axis is an experiment. The training sets of an experiment, its `variants`, are one more axis. An arm is a training
set of an experiment, and a contrast sets two levels of one axis against each other wherever all other levels are equal.
"""

import itertools
import math
import tempfile
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field
from ruamel.yaml import YAML

from stages import validate
from stages.common import params
from stages.common.errors import InputError
from stages.common.params import Name, Text, settings
from stages.reporting.study import MEASURES, SIZE, number_at
from stages.settings.report import Question
from stages.tools import profile

STUDIES = Path(__file__).parent.parent / "studies"
VARIANT = "variant"  # the axis of the training sets within an experiment
FEWEST_SEEDS = 5
OWN, COMMON = ("train.runs.seeds", "report.contrasts"), ("evaluate", "benchmarks")  # what no part, no level may set
TINY_SIZE = "Every size is about the logarithm of the study's, to see that it runs; no number here means anything."
TINY: dict[str, Any] = {  # what a run in the tiny form has small, beside the sizes
    "world": {"size_px": 16},
    "generate": {"refine_steps": 1},
    "train": {
        "levels": {"widths": [16, 16, 16, 16]}, "input": {"size_px": 32}, "samples": 120, "runs": {"seeds": [0, 1]},
    },
    "evaluate": {"replicates": 20},
}  # fmt: skip


@settings
class Contrast:
    """Levels `of` an axis, each set `against` another one of it; `expected` is the sign that the paper leads to."""

    axis: Name
    of: Annotated[list[Name], Field(min_length=1)]
    against: Name
    expected: Literal[-1, 0, 1] = 0

    def __post_init__(self) -> None:
        """Refuse a level against itself."""
        if self.against in self.of:
            raise InputError(None, "leaves nothing to compare", key="against", value=self.against, allowed="another")


@settings
class Primary:
    """The contrast that the study is about, by the names of two training sets; the others pay for their number."""

    of: Text
    against: Text


@settings
class Published:
    """A figure of a paper, as text, and where it stands."""

    what: Text
    value: Text
    source: Text


@settings
class Study:
    """The file of a study: its question, its grid, what is compared, and what was published on it.

    size: the scale in words. seeds: trainings of each training set. primary: chosen before anything was run. x: the
    key of params.yaml, or the measure of the report, over which the arms are drawn; without it they are drawn as rows.
    differences: of protocol, from the paper.
    """

    question: Text
    size: Text
    seeds: Annotated[int, Field(ge=FEWEST_SEEDS, le=100)]
    parameters: dict[str, Any]
    axes: dict[Name, dict[Name, dict[str, Any]]]
    contrasts: Annotated[list[Contrast], Field(min_length=1)]
    primary: Primary
    x: Text | None = None
    published: list[Published]
    differences: list[Text]

    def __post_init__(self) -> None:
        """Refuse what the study itself says, and levels that are not measured alike."""
        levels = {f"axes.{axis}.{name}": part for axis, all_of in self.axes.items() for name, part in all_of.items()}
        for where, part in {"parameters": self.parameters, **levels}.items():
            for key in (*OWN, *(COMMON if part is not self.parameters else ())):
                if params.at(part, key) is not None:
                    allowed = "parameters that differ between trainings; `seeds` and `contrasts` have keys of their own"
                    raise InputError(None, "not for a study to set here", key=f"{where}.{key}", allowed=allowed)


@dataclass(frozen=True)
class Experiment:
    """One experiment: its name in DVC, its level of each axis, and the whole of its params.yaml."""

    name: str
    levels: Mapping[str, str]
    values: Mapping[str, Any]

    def overrides(self) -> list[str]:
        """Return what differs from params.yaml, in the words of `dvc exp run -S`."""
        current = params.read()
        return profile.laid_over(_differing(self.values, current), current, params.FILE)


@dataclass(frozen=True)
class Plan:
    """A study and its experiments."""

    name: str
    study: Study
    experiments: Sequence[Experiment]

    def arms(self) -> dict[str, tuple[Experiment, str]]:
        """Return the experiment and the variant of each arm, by its label: its levels, and its variant.

        The variant goes unnamed where no experiment has a second one.
        """
        arms = [(e, variant) for e in self.experiments for variant in e.values["variants"]]
        several = len(arms) > len(self.experiments)
        labels = ["-".join([*e.levels.values(), *([variant] * several)]) for e, variant in arms]
        self._once("axes", labels, "levels whose names stay different when hyphens join them")
        return dict(zip(labels, arms, strict=True))

    def questions(self) -> list[Question]:
        """Return every contrast between two arms, the primary one first.

        Raises InputError for one that no two arms can answer, and for a primary one that is none of them.
        """
        levels = {label: {**e.levels, VARIANT: variant} for label, (e, variant) in self.arms().items()}
        found = [list(_pairs(contrast, levels)) for contrast in self.study.contrasts]
        for contrast, pairs in zip(self.study.contrasts, found, strict=True):
            answered = {levels[question.of][contrast.axis] for question in pairs}
            if lost := [level for level in contrast.of if level not in answered]:
                known = sorted({own[contrast.axis] for own in levels.values() if contrast.axis in own})
                allowed = f"levels of an axis ({', '.join([*self.study.axes, VARIANT])}): {', '.join(known)}"
                value = f"{', '.join(lost)} against {contrast.against}"
                raise InputError(self.name, "no two arms", key=contrast.axis, value=value, allowed=allowed)
        asked = list(itertools.chain(*found))
        self._once("contrasts", [" and ".join(sorted((q.of, q.against))) for q in asked], "each two arms once")
        return self._primary_first(asked)

    def _once(self, key: str, names: Sequence[str], allowed: str) -> None:
        for name in names:
            if names.count(name) > 1:
                raise InputError(self.name, "twice", key=key, value=name, allowed=allowed)

    def _primary_first(self, asked: list[Question]) -> list[Question]:
        primary = [q for q in asked if (q.of, q.against) == (self.study.primary.of, self.study.primary.against)]
        if not primary:
            value, allowed = f"{self.study.primary.of} - {self.study.primary.against}", "one of its contrasts: "
            allowed += ", ".join(f"{q.of} - {q.against}" for q in asked)
            raise InputError(self.name, "no such contrast", key="primary", value=value, allowed=allowed)
        return [replace(primary[0], primary=True), *(q for q in asked if q is not primary[0])]


def names() -> list[str]:
    """Return the names of the studies."""
    return sorted(file.stem for file in STUDIES.glob("*.yaml"))


def _file(name: str) -> Path:
    return STUDIES / f"{name}.yaml"


def load(name: str) -> Study:
    """Return a study; raises InputError for one that does not exist, or whose file is wrong."""
    if name not in names():
        raise InputError(None, f"no study {name!r}", allowed=", ".join(names()))
    return params.check("study", params.read(_file(name)), Study, _file(name))


def plan(name: str, tiny: bool = False) -> Plan:
    """Return the experiments of a study; raises InputError, as `load`, and for what stage `validate` would refuse."""
    study = load(name)
    experiments = [_experiment(name, study, chosen) for chosen in itertools.product(*study.axes.values())]
    if tiny:
        study = replace(study, size=TINY_SIZE)
        experiments = [replace(e, name=f"{e.name}-tiny", values=_tiny(e.values)) for e in experiments]
    for experiment in experiments:
        _check(_file(name), experiment)
    result = Plan(f"{name}-tiny" if tiny else name, study, experiments)
    result.questions()
    if study.x not in (None, SIZE, *MEASURES):
        number_at(experiments[0].values, study.x, _file(name))
    return result


def _experiment(name: str, study: Study, chosen: Sequence[str]) -> Experiment:
    levels = dict(zip(study.axes, chosen, strict=True))
    values = params.read()
    values["train"]["runs"]["seeds"] = list(range(study.seeds))
    values["report"]["contrasts"] = {}  # those of the study are between experiments, too
    for part in (study.parameters, *(study.axes[axis][level] for axis, level in levels.items())):
        values = _merged(values, part, _file(name))
    return Experiment("-".join([name, *chosen]), levels, values)


def _merged(values: Mapping[str, Any], part: Mapping[str, Any], file: Path, path: str = "") -> dict[str, Any]:
    """Return `values` with `part` laid over them; a mapping of names, such as `variants`, is replaced as a whole."""
    merged = {**deepcopy(dict(values))}
    for key, value in part.items():
        full = f"{path}.{key}" if path else key
        if key not in merged:
            raise InputError(file, "not a key of params.yaml", key=full, allowed=", ".join(merged))
        whole = full in profile.REPLACED or not isinstance(value, dict) or not isinstance(merged[key], dict)
        merged[key] = deepcopy(value) if whole else _merged(merged[key], value, file, full)
    return merged


def _differing(node: Mapping[str, Any], current: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Return the part of `node` that is not as in `current`; a mapping of names as a whole, where it differs."""
    part = {}
    for key, value in node.items():
        full = f"{path}.{key}" if path else key
        if value != current.get(key):
            whole = full in profile.REPLACED or not isinstance(value, dict) or not isinstance(current.get(key), dict)
            part[key] = value if whole else _differing(value, current[key], full)
    return part


def _check(file: Path, experiment: Experiment) -> None:
    """Raise InputError, naming study and experiment, for what stage `validate` would refuse."""
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / params.FILE
        with written.open("w") as stream:
            YAML(typ="safe", pure=True).dump(experiment.values, stream)
        try:
            validate.validate(written)
        except InputError as error:
            key, where = f"{experiment.name}: {error.key}", file.relative_to(STUDIES.parent.parent)
            raise InputError(where, error.problem, key=key, value=error.value, allowed=error.allowed) from error


def _pairs(contrast: Contrast, levels: Mapping[str, Mapping[str, str]]) -> list[Question]:
    by_levels = {frozenset(own.items()): label for label, own in levels.items()}
    pairs = []
    for label, own in levels.items():
        against = by_levels.get(frozenset({**own, contrast.axis: contrast.against}.items()))
        if own.get(contrast.axis) in contrast.of and against:
            pairs.append(Question(of=label, against=against, expected=contrast.expected))
    return pairs


def _people(count: int) -> int:
    """Return how many people stand for `count` in the tiny form: more for more, so that widths stay in order."""
    return int(2 * math.log2(count)) if count > 1 else count


def _images(count: int) -> int:
    """Return how many images of a person stand for `count` in the tiny form."""
    return int(math.log2(count)) + 1 if count else 0


def _tiny(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters with every size brought down to about its logarithm, and all else as in TINY."""
    small = _merged(values, TINY, params.FILE)
    people, images = {"identities", "width", "mixed", "calibration_identities"}, {"images", "depth", "mix_depth"}
    for section in ("gallery", "pack", "generate", "audit", "sets", "variants"):
        _shrink(small[section], people, images)
    small["generate"]["poses"]["identities"] = 0
    return small


def _shrink(node: dict[str, Any], people: set[str], images: set[str]) -> None:
    for key, value in node.items():
        if isinstance(value, dict):
            _shrink(value, people, images)
        elif key in people | images:
            size = _people if key in people else _images
            node[key] = [size(count) for count in value] if isinstance(value, list) else size(value)
