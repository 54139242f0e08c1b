"""What the variants scored: read from reports/evaluate and data/evaluate, and compared with each other."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from stages.common import artifacts, params, tables, verification
from stages.common.errors import InputError
from stages.common.variants import Variants
from stages.metrics import bootstrap, verdicts
from stages.metrics.bootstrap import Difference, Estimate
from stages.reporting import frame
from stages.settings.report import WILD, Question

REPORTS, SCORES = Path("reports/evaluate"), Path("data/evaluate")
FAR_GRID = np.logspace(-3, 0, 121)  # where ROC curves are averaged; 3,000 impostor pairs resolve no less than 1e-3
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


def title(protocol: str) -> str:
    """Return a protocol's name, or a difference of two, as it is printed."""
    return " − ".join(TITLES.get(part, part) for part in protocol.split(" - "))


@dataclass(frozen=True)
class Variant:
    """One training set and what its recognisers scored: `protocols` and `wild_mean` as in reports/evaluate."""

    name: str
    training: Variants
    protocols: dict[str, dict[str, Any]]
    wild_mean: dict[str, Any]
    replicates: dict[str, np.ndarray]

    @property
    def scored(self) -> dict[str, dict[str, Any]]:
        """Return what was scored on each protocol and on the mean of the wild ones."""
        return frame.with_mean(self.protocols, self.wild_mean)

    @property
    def replicate_counts(self) -> list[int]:
        """Return how many bootstrap replicates there are: one number, unless the protocols differ."""
        return sorted({len(row) for row in self.replicates.values()})

    def names(self, domain: str) -> list[str]:
        """Return the protocols of a domain, in the order in which they were evaluated."""
        return [name for name, metrics in self.protocols.items() if metrics["domain"] == domain]

    def accuracy(self, protocol: str) -> Estimate:
        """Return the accuracy on a protocol, or on the mean of the wild ones, per seed and per replicate."""
        if protocol == WILD:
            return bootstrap.mean([self.accuracy(name) for name in self.names(WILD)])
        per_seed = np.array(self.protocols[protocol]["accuracy"]["per_seed"])[:, None]  # (s, 1)
        return Estimate(("accuracy",), per_seed, self.replicates[protocol][:, None])


def load(name: str, training: Variants) -> Variant:
    """Read what variant `name` scored; raises ValueError when a file is missing or two of them disagree."""
    report = artifacts.read_mapping(REPORTS / f"{name}.json", "protocols", "wild_mean")
    protocols, file = report["protocols"], SCORES / name / "replicates.npy"
    rows = artifacts.read_array(file)  # (protocols, 2, r)
    if rows.ndim != 3 or len(rows) != len(protocols):
        raise InputError(file, key="shape", value=rows.shape, allowed=f"{len(protocols)} rows")
    return Variant(
        name, training, protocols, report["wild_mean"], dict(zip(protocols, map(bootstrap.whole, rows), strict=True))
    )


def check(variants: Sequence[Variant]) -> None:
    """Raise ValueError unless there are variants, evaluated on the same protocols with the same replicates."""
    if not variants:
        raise InputError(params.FILE, "empty", key="variants", allowed="one or more")
    first = variants[0]
    for v in variants:
        for key, value, allowed in (
            ("protocols", list(v.protocols), list(first.protocols)),
            ("replicates", v.replicate_counts, first.replicate_counts),
        ):
            if value != allowed:
                raise InputError(SCORES / v.name, key=key, value=value, allowed=f"{allowed}, as {first.name} has")


def scores(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the scores of a protocol's pairs (s, p), one row per training seed, and which are genuine (p,)."""
    try:
        score, pairs = bootstrap.scored_pairs(tables.read(file))
    except (KeyError, ValueError) as error:
        raise InputError(file, "missing, truncated or without scores; `dvc repro` makes it") from error
    return score, pairs.same


def mean_roc(files: Sequence[Path]) -> np.ndarray:
    """Return the true accept rate at FAR_GRID, the mean over protocols and training seeds, (points,)."""
    curves = []
    for file in files:
        per_seed, same = scores(file)
        curves += [_on_grid(*verification.roc(score[same], score[~same])) for score in per_seed]
    return np.mean(curves, axis=0)


def _on_grid(far: np.ndarray, tar: np.ndarray) -> np.ndarray:
    return tar[np.searchsorted(far, FAR_GRID * (1 + 1e-12), "right") - 1]  # the last threshold that keeps to the FAR


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
    def smallest(self) -> float:
        """Return the difference that so many seeds and people would show, at the strictest step of the correction."""
        return verdicts.smallest(self.difference.error, self.difference.df, self.level / self.among)


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


def smallest(variants: Sequence[Variant], protocol: str, confidence: float) -> float | None:
    """Return the difference in accuracy that one comparison of two variants would show, the median over all twos.

    None where there are no two variants.
    """
    scored = [variant.accuracy(protocol) for variant in variants]
    found = [bootstrap.paired_difference(a, b, "accuracy", confidence) for a, b in combinations(scored, 2)]
    return float(np.median([verdicts.smallest(d.error, d.df, 1 - confidence) for d in found])) if found else None


def statement(contrasts: Sequence[Contrast]) -> str:
    """Say in words which phenomena reproduce and which do not, after correction for the number of comparisons."""
    phenomena = [c for c in contrasts if c.expected]
    if not phenomena:
        return "No two variants were trained between which SynFace reports a difference."
    groups: dict[str, list[Contrast]] = {}
    for c in (c for c in phenomena if c.decides):
        label = {1: "Reproduces", -1: "Reversed", 0: "Not shown"}[c.side * c.expected]
        groups.setdefault(label, []).append(c)
    sentences = [f"{label}: {_listed(group)}." for label, group in sorted(groups.items())]
    seeds, enough = min(c.difference.seeds for c in phenomena), bootstrap.SEEDS_FOR_A_VERDICT
    if seeds < enough:
        few = (
            f"Interval only: {seeds} training seed{'s' * (seeds > 1)} give no verdict, not even on a sign; {enough} do."
        )
        sentences.insert(0, few)
    return " ".join(sentences)


def _listed(group: Sequence[Contrast]) -> str:
    protocols: dict[str, list[str]] = {}
    for c in group:
        protocols.setdefault(minus_sign(c.name), []).append(title(c.protocol))
    usual = [title(WILD)]  # a contrast without a protocol is about the wild mean
    return "; ".join(name if on == usual else f"{name} ({', '.join(on)})" for name, on in protocols.items())
