"""What the variants scored: read from reports/evaluate and data/evaluate, and compared with each other."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stages.common import artifacts, tables
from stages.metrics import bootstrap, verification
from stages.metrics.bootstrap import Difference, Estimate
from stages.reporting import frame
from stages.settings.report import WILD, Question
from stages.settings.variants import Variants

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

    def names(self, domain: str) -> list[str]:
        """Return the protocols of a domain, in the order in which they were evaluated."""
        return [name for name, found in self.protocols.items() if found["domain"] == domain]

    def accuracy(self, protocol: str) -> Estimate:
        """Return the accuracy on a protocol, or on the mean of the wild ones, per seed and per replicate."""
        if protocol == WILD:
            return bootstrap.mean([self.accuracy(name) for name in self.names(WILD)])
        per_seed = np.array(self.protocols[protocol]["accuracy"]["per_seed"])[:, None]  # (s, 1)
        return Estimate(("accuracy",), per_seed, self.replicates[protocol][:, None])


def load(name: str, training: Variants) -> Variant:
    """Read what variant `name` scored; raises ValueError when a file is missing or two of them disagree."""
    file = REPORTS / f"{name}.json"
    found = artifacts.read_mapping(file, "protocols", "wild_mean")
    rows = artifacts.read_array(SCORES / name / "replicates.npy")  # (protocols, r)
    if rows.ndim != 2 or len(rows) != len(found["protocols"]):
        raise ValueError(f"{SCORES / name}/replicates.npy: shape {rows.shape}; allowed: {len(found['protocols'])} rows")
    replicates = dict(zip(found["protocols"], rows, strict=True))
    return Variant(name, training, found["protocols"], found["wild_mean"], replicates)


def check(variants: Sequence[Variant]) -> None:
    """Raise ValueError unless there are variants, evaluated on the same protocols with the same replicates."""
    if not variants:
        raise ValueError("params.yaml: variants is empty; allowed: one or more")
    for v in variants:
        for what, of in (("protocols", list), ("replicates", lambda found: {len(row) for row in found.values()})):
            found, first = of(getattr(v, what)), of(getattr(variants[0], what))
            if found != first:
                raise ValueError(f"data/evaluate/{v.name}: {what} {found}; allowed: {first}, as {variants[0].name} has")


def minus(b: Estimate, a: Estimate) -> Estimate:
    """Return b - a replicate by replicate, as an estimate of its own that can be compared again.

    It has as many seeds as the one with fewer, and the difference of the two means: seeds have no partner.
    """
    seeds = min(len(a.per_seed), len(b.per_seed))
    return Estimate(a.names, np.tile(b.value - a.value, (seeds, 1)), b.replicates - a.replicates)


def scores(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the scores of a protocol's pairs (s, p), one row per training seed, and which are genuine (p,)."""
    try:
        score, pairs = bootstrap.scored_pairs(tables.read(file))
    except (KeyError, ValueError) as error:
        raise ValueError(f"{file}: missing, truncated or without scores; `dvc repro` makes it") from error
    return score, pairs.same


def mean_roc(files: Sequence[Path]) -> np.ndarray:
    """Return the true accept rate at FAR_GRID, the mean over protocols and training seeds, (points,)."""
    curves = []
    for file in files:
        each, same = scores(file)
        curves += [_on_grid(*verification.roc(score[same], score[~same])) for score in each]
    return np.mean(curves, axis=0)


def _on_grid(far: np.ndarray, tar: np.ndarray) -> np.ndarray:
    return tar[np.searchsorted(far, FAR_GRID * (1 + 1e-12), "right") - 1]  # the last threshold that keeps to the FAR


@dataclass(frozen=True)
class Contrast:
    """A difference that params.yaml asks for, and its expected sign, 0 where none is expected."""

    name: str
    protocol: str
    found: Difference
    expected: int
    seeds: int

    @property
    def decides(self) -> bool:
        """Say whether there are seeds enough for a verdict: an interval of fewer misses zero too often by chance."""
        return self.seeds >= bootstrap.SEEDS_FOR_A_VERDICT

    @property
    def side(self) -> int:
        """Return 1 or -1 when the interval lies on that side of zero and the seeds suffice to say so, else 0."""
        if not self.decides:
            return 0
        return int(self.found.low > 0) - int(self.found.high < 0)

    @property
    def reading(self) -> str:
        """Return what may be concluded: a verdict from five seeds on, before that nothing beyond the interval."""
        if not self.decides:
            return "interval only"
        if not self.expected or not self.side:
            return {1: "positive", -1: "negative", 0: "not separated"}[self.side]
        return "reproduces" if self.side == self.expected else "reversed"


def contrasts(variants: Sequence[Variant], asked: Iterable[Question], confidence: float) -> list[Contrast]:
    """Return the differences asked for, with paired intervals."""
    by = {variant.name: variant for variant in variants}
    made = []
    for question in asked:
        of, against, on = by[question.of], by[question.against], question.on
        b, a = of.accuracy(on), against.accuracy(on)
        if question.minus:
            b, a = minus(b, a), minus(of.accuracy(question.minus), against.accuracy(question.minus))
            on = f"{on} - {question.minus}"
        found = bootstrap.paired_difference(a, b, "accuracy", confidence)
        seeds = min(len(a.per_seed), len(b.per_seed))
        made.append(Contrast(f"{of.name} - {against.name}", on, found, question.expected, seeds))
    return made


def statement(made: Sequence[Contrast]) -> str:
    """Say in words, from the intervals alone, which phenomena reproduce and which do not."""
    asked = [c for c in made if c.expected]
    if not asked:
        return "No two variants were trained between which SynFace reports a difference."
    groups: dict[str, list[Contrast]] = {}
    for c in (c for c in asked if c.decides):
        label = {1: "Reproduces", -1: "Reversed", 0: "Not shown, the interval includes 0"}[c.side * c.expected]
        groups.setdefault(label, []).append(c)
    said = [f"{label}: {_listed(found)}." for label, found in sorted(groups.items())]
    seeds, enough = min(c.seeds for c in asked), bootstrap.SEEDS_FOR_A_VERDICT
    if seeds < enough:
        said = [f"Interval only: {seeds} training seeds give no verdict, not even on a sign; {enough} do.", *said]
    return " ".join(said)


def _listed(found: Sequence[Contrast]) -> str:
    protocols: dict[str, list[str]] = {}
    for c in found:
        protocols.setdefault(minus_sign(c.name), []).append(title(c.protocol))
    usual = [title(WILD)]  # what is meant when no protocol is named
    return "; ".join(name if where == usual else f"{name} ({', '.join(where)})" for name, where in protocols.items())
