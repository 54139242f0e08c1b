"""What the variants scored: read from reports/evaluate and data/evaluate, and compared with each other."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from stages.common import artifacts, params, tables
from stages.common.errors import InputError
from stages.common.variants import Variants
from stages.metrics import bootstrap, verdicts
from stages.metrics.bootstrap import Difference, Estimate
from stages.reporting import frame
from stages.settings.report import WILD, Question

REPORTS, SCORES = Path("reports/evaluate"), Path("data/evaluate")
SECTIONS = ("protocols", "groups", "templates")  # of reports/evaluate, as `evaluators` has them
TWIN = ("lfw", "syn-lfw")  # the same people in the same pairs, in two domains

TITLES = {
    "lfw": "LFW",
    "cfp-fp": "CFP-FP",
    "agedb": "AgeDB",
    "calfw": "CALFW",
    "cplfw": "CPLFW",
    "syn-lfw": "Syn-LFW",
    "ijb": "In the manner of IJB, 1:1",
    "ijb-1n": "In the manner of IJB, 1:N",
    WILD: "mean of wild",
}


def minus_sign(text: str) -> str:
    """Return `b - a` with the sign that print uses."""
    return text.replace(" - ", " − ")


def digits(value: float, places: int) -> str:
    """Return a number as it is printed: with a minus sign, and no zero has one."""
    return f"{round(value, places) + 0.0:.{places}f}".replace("-", "−")


def signed(value: float, places: int = 1) -> str:
    """Return a number with its sign; zero has none."""
    return f"{'+' * (round(value, places) > 0)}{digits(value, places)}"


def title(protocol: str) -> str:
    """Return a protocol's name, or a difference of two, as it is printed."""
    return " − ".join(TITLES.get(part, part) for part in protocol.split(" - "))


@dataclass(frozen=True)
class Variant:
    """One training set and what its recognisers scored: `protocols`, `wild_mean` and `others` as in reports/evaluate.

    others: by section of the report, groups and templates, and by benchmark. estimates: of all benchmarks.
    """

    name: str
    training: Variants
    protocols: dict[str, dict[str, Any]]
    wild_mean: dict[str, Any]
    others: dict[str, dict[str, dict[str, Any]]]
    estimates: dict[str, Estimate]

    @property
    def scored(self) -> dict[str, dict[str, Any]]:
        """Return what was scored on each protocol and on the mean of the wild ones."""
        return frame.with_mean(self.protocols, self.wild_mean)

    @property
    def replicate_counts(self) -> list[int]:
        """Return how many bootstrap replicates there are: one number, unless the benchmarks differ."""
        return sorted({len(estimate.replicates) for estimate in self.estimates.values()})

    def names(self, domain: str) -> list[str]:
        """Return the protocols of a domain, in the order in which they were evaluated."""
        return [name for name, metrics in self.protocols.items() if metrics["domain"] == domain]

    def estimate(self, benchmark: str) -> Estimate:
        """Return all that was measured on a benchmark, or on the mean of the wild protocols."""
        if benchmark != WILD:
            return self.estimates[benchmark]
        wild = [self.estimates[name] for name in self.names(WILD)]
        everywhere = [metric for metric in wild[0].names if all(metric in each.names for each in wild)]
        return bootstrap.mean([each.only(everywhere) for each in wild])

    def accuracy(self, protocol: str) -> Estimate:
        """Return the accuracy on a protocol, or on the mean of the wild ones, per seed and per replicate."""
        return self.estimate(protocol).only(["accuracy"])


def load(name: str, training: Variants) -> Variant:
    """Read what variant `name` scored; raises ValueError when a file is missing or two of them disagree."""
    report = artifacts.read_mapping(REPORTS / f"{name}.json", *SECTIONS, "wild_mean")
    protocols, *others = (report[section] for section in SECTIONS)
    estimates = {key: metrics for section in (protocols, *others) for key, metrics in section.items()}
    file = SCORES / name / "replicates.arrow"
    replicates = tables.read(file)
    return Variant(
        name,
        training,
        protocols,
        report["wild_mean"],
        dict(zip(SECTIONS[1:], others, strict=True)),
        {key: estimated(key, metrics, replicates, file) for key, metrics in estimates.items()},
    )


def estimated(key: str, metrics: Mapping[str, Any], replicates: pa.Table, file: str | Path) -> Estimate:
    """Return what could be measured on benchmark `key`, from its entry in a report and the table that `file` holds.

    Raises InputError when the table lacks one of its metrics or half a replicate.
    """
    if len(replicates) % 2:
        raise InputError(file, key="rows", value=len(replicates), allowed="two for each replicate")
    per_seed = {
        name: entry["per_seed"] for name, entry in metrics.items() if isinstance(entry, Mapping) and "per_seed" in entry
    }
    columns = np.empty((len(replicates), len(per_seed)))
    for m, column in enumerate(f"{key}/{name}" for name in per_seed):
        if column not in replicates.column_names:
            raise InputError(file, "no such column", key=column, allowed="one for each metric")
        columns[:, m] = replicates[column].to_numpy()
    values = np.array(list(per_seed.values())).T if per_seed else np.empty((0, 0))
    return Estimate(tuple(per_seed), values, bootstrap.whole(np.split(columns, 2)))


def check(variants: Sequence[Variant]) -> None:
    """Raise ValueError unless there are variants, evaluated on the same benchmarks with the same replicates."""
    if not variants:
        raise InputError(params.FILE, "empty", key="variants", allowed="one or more")
    first = variants[0]
    for v in variants:
        for key, value, allowed in (
            ("benchmarks", list(v.estimates), list(first.estimates)),
            ("replicates", v.replicate_counts, first.replicate_counts),
        ):
            if value != allowed:
                raise InputError(SCORES / v.name, key=key, value=value, allowed=f"{allowed}, as {first.name} has")


@dataclass(frozen=True)
class Contrast:
    """A difference between two variants, and its expected sign, 0 where none is expected.

    level: of the test that decides, the share of reports with a false verdict; p: of that test, after correction for
    `among` comparisons. A primary one is not corrected.
    """

    name: str
    protocol: str
    difference: Difference
    expected: int
    level: float
    p: float
    among: int
    primary: bool = False

    @property
    def anchor(self) -> str:
        """Return the name by which links find its row."""
        return "-".join(["difference", *f"{self.name} on {self.protocol}".replace(" - ", " ").split()])

    @property
    def decides(self) -> bool:
        """Say whether there are enough seeds for a verdict."""
        return self.difference.seeds >= bootstrap.SEEDS_FOR_A_VERDICT

    @property
    def side(self) -> int:
        """Return the sign of a difference that is clear after correction, when the seeds suffice to say so, else 0."""
        return int(np.sign(self.difference.value)) if self.decides and self.p < self.level else 0

    @property
    def reading(self) -> str:
        """Return the verdict or, with too few seeds, that there is only an interval."""
        if not self.decides:
            return "interval only"
        if not self.expected or not self.side:
            return {1: "positive", -1: "negative", 0: "not separated"}[self.side]
        return "reproduces" if self.side == self.expected else "reversed"

    @property
    def smallest(self) -> float | None:
        """Return the difference that so many seeds and people would show, at the strictest step of the correction.

        Where nothing varied between them, or seeds are too few for a verdict, it is unknown.
        """
        if not self.decides:
            return None
        found = verdicts.smallest(self.difference.error, self.difference.df, self.level / self.among)
        return found if found > 0 else None


def contrasts(variants: Sequence[Variant], questions: Iterable[Question], confidence: float) -> list[Contrast]:
    """Return the difference that each question asks for, with its paired interval.

    The primary one is tested alone; the others are corrected for their number.
    """
    by_name, asked = {variant.name: variant for variant in variants}, list(questions)
    differences = [_difference(by_name, question, confidence) for question in asked]
    p = np.array([difference.p for difference in differences])
    others = [i for i, question in enumerate(asked) if not question.primary]
    p[others] = verdicts.holm(p[others].tolist())
    return [
        Contrast(
            name=f"{question.of} - {question.against}",
            protocol=f"{question.on} - {question.minus}" if question.minus else question.on,
            difference=difference,
            expected=question.expected,
            level=1 - confidence,
            p=float(corrected),
            among=1 if question.primary else len(others),
            primary=question.primary,
        )
        for question, difference, corrected in zip(asked, differences, p, strict=True)
    ]


def _difference(by_name: Mapping[str, Variant], question: Question, confidence: float) -> Difference:
    b, a = (_asked(by_name[name], question) for name in (question.of, question.against))
    return bootstrap.paired_difference(a, b, "accuracy", confidence)


def _asked(variant: Variant, question: Question) -> Estimate:
    """Return a variant's accuracy on a protocol, or how much more it is there than on another."""
    scored = variant.accuracy(question.on)
    return bootstrap.minus(scored, variant.accuracy(question.minus)) if question.minus else scored
