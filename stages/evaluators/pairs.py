"""Pairs of images in folds: LFW and its kin.

The folder has pairs.arrow: a, b (rows of the shards), same, fold. Photographs are scored twice, raw and centred.
`evaluate.convention` says how folds and thresholds are taken.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from stages.common import sphere, tables, verification
from stages.common.errors import InputError
from stages.common.evaluate import Evaluate
from stages.evaluators import Benchmark, Measured, Part, mirrored
from stages.metrics import bootstrap, insightface, scoring
from stages.metrics.bootstrap import Estimate, Pairs

STEP = 128  # pairs at a time: their rows stay in the cache, which makes distances three times as fast


@dataclass(frozen=True)
class Compared:
    """Pairs (p,) of rows a and b of the images, which show one person where `same`, in folds; whom each row shows."""

    a: np.ndarray
    b: np.ndarray
    same: np.ndarray
    fold: np.ndarray
    identity: np.ndarray

    @property
    def people(self) -> Pairs:
        """Return what the bootstrap needs to know."""
        return Pairs(self.same, self.fold, self.identity[self.a], self.identity[self.b])


def read(benchmark: Benchmark) -> Compared:
    """Return the pairs of a benchmark; raises InputError when they contradict its images."""
    file = benchmark.folder / "pairs.arrow"
    table = tables.read(file, tables.PAIRS)
    a, b, same, fold = (table[key].to_numpy() for key in tables.PAIRS.names)
    count = len(benchmark.shards)
    if len(a) == 0 or min(a.min(), b.min()) < 0 or max(a.max(), b.max()) >= count:
        raise InputError(file, "a row beyond the images, or no pair", key="a and b", allowed=f"0 to {count - 1}")
    identity = benchmark.shards.column("identity")
    wrong = np.flatnonzero((identity[a] == identity[b]) != same)
    if len(wrong):
        problem = "contradicts the identities of its images"
        raise InputError(file, problem, key=f"same of pair {wrong[0]}", value=bool(same[wrong[0]]))
    if same.all() or not same.any() or len(np.unique(fold)) < 2:
        raise InputError(file, key="pairs", allowed="genuine and impostor ones, in two folds or more")
    return Compared(a, b, same, fold, identity)


def in_parts(of: Callable[[slice], np.ndarray], pairs: int) -> np.ndarray:
    """Return a value of every pair (pairs,) from those of a slice of them: their rows would fill the memory."""
    return np.concatenate([of(slice(start, start + STEP)) for start in range(0, pairs, STEP)])


def cosines(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the cosine of each row of x (p, d) to the same row of y (p, d)."""
    return np.einsum("pd,pd->p", sphere.unit_rows(x), sphere.unit_rows(y))


def raw(x: np.ndarray, pairs: Compared) -> np.ndarray:
    """Return the cosine (p,) of the rows of x (n, d) that each pair compares."""
    return in_parts(lambda part: cosines(x[pairs.a[part]], x[pairs.b[part]]), len(pairs.a))


def centred(x: np.ndarray, pairs: Compared) -> np.ndarray:
    """Return the cosine (p,) of each pair's rows of x (n, d) after subtracting the mean row of all other people.

    Each pair has one centre, to which neither of its two people contributes. With a centre for each image, or for half
    of the people, the centres alone would tell impostor pairs from genuine ones.
    """
    people, member = np.unique(pairs.identity, return_inverse=True)
    total, count = np.zeros((len(people), x.shape[1])), np.bincount(member)
    np.add.at(total, member, x)
    a, b = pairs.a, pairs.b
    person_a, person_b = member[a], member[b]
    different = (person_a != person_b).astype(np.int64)  # the two people of a genuine pair are one
    third = len(x) - count[person_a] - different * count[person_b]
    everybody = x.sum(axis=0)

    def cosine(part: slice) -> np.ndarray:
        others = everybody - total[person_a[part]] - different[part, None] * total[person_b[part]]
        centre = others / np.maximum(third[part], 1)[:, None]
        return cosines(x[a[part]] - centre, x[b[part]] - centre)

    return in_parts(cosine, len(a))


def distances(x: np.ndarray, pairs: Compared) -> np.ndarray:
    """Return the squared distance (p,) between the unit rows of x (n, d) that each pair compares."""
    return in_parts(lambda part: insightface.distances(x[pairs.a[part]], x[pairs.b[part]]), len(pairs.a))


class Kind:
    """Measures the accuracy in folds, TAR at FAR, and how well genuine and impostor scores separate.

    By the convention of insightface, accuracy and validation rate are those of `metrics.insightface`, rendered faces
    are mirrored, too, and nothing is centred.
    """

    unit = True

    def __init__(self, benchmark: Benchmark, cfg: Evaluate) -> None:
        """Read the pairs; raises InputError when they contradict the images."""
        self.benchmark, self.cfg, self.pairs = benchmark, cfg, read(benchmark)
        self.size, self.ours = len(self.pairs.a), cfg.convention == "ours"
        photographs = benchmark.domain == "external"
        self.mirrored = mirrored(benchmark, cfg)
        self.ways = {benchmark.name: raw}
        if photographs and self.ours:
            self.ways[f"{benchmark.name}-centred"] = centred
        if not self.ours:
            self._check_folds()

    def _check_folds(self) -> None:
        for number, run in enumerate(np.array_split(self.pairs.same, insightface.FOLDS), 1):
            if run.all() or not run.any():  # the validation rate of such a run would be 0 / 0
                allowed = "genuine and impostor ones in each tenth of the list, or evaluate.convention = ours"
                file = self.benchmark.folder / "pairs.arrow"
                raise InputError(file, "pairs of one kind", key=f"tenth {number}", allowed=allowed)

    def parts(self) -> list[Part]:
        """Return the ways to score the pairs: raw, photographs also centred."""
        verified = bootstrap.names(self.cfg.rates.fars)
        metrics = verified if self.ours else (*verified, *insightface.NAMES[1:])
        people, impostors = self.pairs.people, int((~self.pairs.same).sum())
        identities = len(np.unique([people.identity_a, people.identity_b]))
        about = {"pairs": self.size, "impostors": impostors, "identities": identities}
        about |= unresolved(self.cfg.rates.fars, impostors)
        return [Part(key, "protocols", metrics, about) for key in self.ways]

    def measure(self, rows: Sequence[np.ndarray], seeds: Sequence[int]) -> list[Measured]:
        """Return the estimate and the scores of every way."""
        measured = []
        for way in self.ways.values():
            score = np.stack([way(x, self.pairs) for x in rows])
            measured.append(Measured(self.estimate(score, rows), table(self.pairs, score, seeds)))
        return measured

    def estimate(self, score: np.ndarray, rows: Sequence[np.ndarray]) -> Estimate:
        """Return all metrics of scores (s, p), the cosines of rows (n, d) by s recognisers."""
        cfg, pairs = self.cfg, self.pairs.people
        ours = bootstrap.estimate(score, pairs, cfg.rates.fars, cfg.replicates, cfg.seed)
        if self.ours:
            return ours
        dist = np.stack([distances(x, self.pairs) for x in rows])
        theirs = insightface.estimate(dist, pairs, cfg.replicates, cfg.seed)
        accuracy, *more = insightface.NAMES
        return scoring.joined(theirs.only([accuracy]), ours.only(ours.names[1:]), theirs.only(more))


def unresolved(fars: Sequence[float], impostors: int) -> dict[str, list[str]]:
    """Return why the TAR at some FAR is null, a line each, under the key `unresolved`; empty where none is."""
    few = [far for far in fars if verification.accepted_impostors(impostors, far) < 1]
    lines = [f"FAR {far:g} takes {math.ceil(1 / far):,} impostor comparisons, here are {impostors:,}" for far in few]
    return {"unresolved": lines} if lines else {}


def table(pairs: Compared, score: np.ndarray, seeds: Sequence[int]) -> pa.Table:
    """Return the pairs, their people and a column of scores (s, p) per seed."""
    compared = tables.of(tables.PAIRS, {name: getattr(pairs, name) for name in tables.PAIRS.names})
    people = {name: pa.array(getattr(pairs.people, name), pa.int32()) for name in ("identity_a", "identity_b")}
    scores = {f"seed_{seed}": pa.array(row, pa.float32()) for seed, row in zip(seeds, score, strict=True)}
    return pa.table({**dict(zip(compared.column_names, compared.columns, strict=True)), **people, **scores})
