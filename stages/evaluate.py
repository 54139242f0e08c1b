"""Measure how well the recognisers of one variant know unseen people apart: `python -m stages.evaluate NAME`.

reads    data/train/NAME/seed-SEED/              one recogniser per training seed
         data/benchmarks/index.json              the benchmarks; each folder holds image shards and tables of its kind
writes   data/evaluate/NAME/PROTOCOL.arrow       of pairs: a, b, same, fold, identity_a, identity_b, seed_SEED: scores
         data/evaluate/NAME/replicates.arrow     BENCHMARK/METRIC: real parts of r replicates, then imaginary ones
         reports/evaluate/NAME.json              metrics with intervals by section (protocols: pairs in folds; groups;
                                                 templates) and benchmark, and the mean of the wild protocols
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from stages import evaluators
from stages.common import artifacts, networks, params, ranks, stage, tables
from stages.common.errors import InputError
from stages.common.evaluate import Evaluate
from stages.common.networks import Recogniser
from stages.evaluators import Evaluator, Part
from stages.metrics import bootstrap, scoring
from stages.metrics.bootstrap import Estimate

TRAINED = Path("data/train")
SCORES = Path("data/evaluate")
REPORTS = Path("reports/evaluate")


@dataclass(frozen=True)
class Scored:
    """Networks to score, which differ in their seed alone, and the paths of their scores and report."""

    name: str
    nets: Sequence[Recogniser]
    seeds: Sequence[int]
    scores: Path
    report: Path


def trained(name: str) -> Scored:
    """Return the recognisers that were trained on a variant; raises ValueError when there are none."""
    seeds = sorted(int(folder.name.removeprefix("seed-")) for folder in (TRAINED / name).glob("seed-*"))
    if not seeds:
        raise InputError(TRAINED / name, "no seed-SEED in it", allowed="a variant that was trained")
    nets = [networks.load(TRAINED / name / f"seed-{seed}") for seed in seeds]
    return Scored(name, nets, seeds, SCORES / name, REPORTS / f"{name}.json")


def measured(entry: Scored, cfg: Evaluate, folder: Path) -> Iterator[tuple[Evaluator, Part, Estimate]]:
    """Yield all parts of all benchmarks with their estimates, in order; writes the scores of pairs into `folder`.

    Ranks share the shards of images, then take a benchmark each. Finished shards and benchmarks are kept.
    """
    found = evaluators.load(cfg)
    rows = {
        e.benchmark.name: scoring.embedded(entry.nets, e.benchmark.shards, folder, e.unit, e.mirrored) for e in found
    }
    files = {_estimate(folder, e.parts()[0].key): e for e in found}

    def work(file: Path) -> None:
        evaluator = files[file]
        results = zip(evaluator.parts(), evaluator.measure(rows[evaluator.benchmark.name], entry.seeds), strict=True)
        for part, (estimate, scores) in reversed(list(results)):  # the first one's file says that all are done
            if scores is not None:
                tables.write(folder / f"{part.key}.arrow", scores)
            replicates = bootstrap.parts(estimate.replicates)
            artifacts.write_array(_estimate(folder, part.key), np.concatenate([estimate.per_seed, *replicates]))

    ranks.make({file: e.size for file, e in files.items()}, work, f"evaluate {entry.name}", "pair")
    seeds = len(entry.seeds)
    for evaluator in found:
        for part in evaluator.parts():
            kept = artifacts.map_array(_estimate(folder, part.key))
            per_seed, *parts = np.split(kept, [seeds, seeds + cfg.replicates])
            yield evaluator, part, Estimate(part.metrics, per_seed, bootstrap.whole(parts))


def _estimate(folder: Path, key: str) -> Path:
    return folder / f".measured-{key}.npy"  # per seed, then the replicates; hidden from the stage's output


def score(entry: Scored, folder: Path) -> str:
    """Score networks on every benchmark, write all scores and the metrics; returns the closing line.

    folder: for what a later try need not do again.
    """
    cfg = params.load("evaluate", Evaluate)
    report: dict[str, dict[str, Any]] = {section: {} for section in evaluators.SECTIONS}
    wild, replicates = [], {}
    for evaluator, part, estimate in measured(entry, cfg, folder):
        about = {"domain": evaluator.benchmark.domain, **part.about}
        report[part.section][part.key] = {**about, **scoring.summary(estimate, cfg.confidence)}
        if (part.section, evaluator.benchmark.domain) == ("protocols", "wild"):
            wild.append(estimate)
        for metric, replicated in zip(part.metrics, estimate.replicates.T, strict=True):
            replicates[f"{part.key}/{metric}"] = np.concatenate(bootstrap.parts(replicated)).astype(np.float32)
    mean = scoring.summary(bootstrap.mean(wild), cfg.confidence)
    document = {"variant": entry.name, "seeds": entry.seeds, **report, "wild_mean": mean}
    if ranks.rank() == 0:
        tables.write(folder / "replicates.arrow", pa.table(replicates))
        artifacts.write_json(entry.report, document)
    ranks.publish(folder, entry.scores)
    value, low, high = (100 * mean["accuracy"][key] for key in ("value", "low", "high"))
    return f"evaluate {entry.name}: wild accuracy {value:.1f} % [{low:.1f}, {high:.1f}] -> {entry.report}"


def main() -> str:
    """Run the stage for the variant named on the command line."""
    name = stage.name("NAME, a key of `variants`")
    entry = trained(name)
    with ranks.kept(f"evaluate@{name}") as folder:
        return score(entry, folder)


if __name__ == "__main__":
    stage.run(main)
