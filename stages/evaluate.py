"""Measure how well the recognisers of one variant verify unseen people: `python -m stages.evaluate NAME`.

reads    data/train/NAME/seed-SEED/              one recogniser per training seed
         data/benchmarks/index.json              the protocols; each folder holds image shards and pairs.arrow
writes   data/evaluate/NAME/PROTOCOL.arrow       a, b, same, fold, identity_a, identity_b, seed_SEED: the scores
         data/evaluate/NAME/replicates.npy        (protocols, r) accuracy in each bootstrap replicate
         reports/evaluate/NAME.json              metrics with intervals per protocol, and the mean of the wild ones
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from stages.common import artifacts, networks, params, stage, tables
from stages.common.errors import InputError
from stages.common.evaluate import Evaluate
from stages.common.networks import Recogniser
from stages.metrics import bootstrap, scoring
from stages.metrics.scoring import Measured, Protocol

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


def measured(entry: Scored, cfg: Evaluate) -> Iterator[tuple[Protocol, list[Measured]]]:
    """Yield every protocol with its measurements, in order, by a thread for each core that this process may use."""
    protocols = scoring.protocols()
    with stage.threads() as threads:
        results = threads.map(lambda protocol: scoring.measure(protocol, entry.nets, entry.seeds, cfg), protocols)
        bar = tqdm(results, f"evaluate {entry.name}", len(protocols), mininterval=1, ncols=80, file=sys.stdout)
        yield from zip(protocols, bar, strict=True)


def score(entry: Scored) -> str:
    """Score networks on every protocol, write all scores and the metrics; returns the closing line."""
    cfg = params.load("evaluate", Evaluate)
    report: dict[str, Any] = {}
    wild, accuracy = [], []
    with artifacts.output_folder(entry.scores) as folder:
        for protocol, results in measured(entry, cfg):
            people = len(np.unique([protocol.identity_a, protocol.identity_b]))
            about = {"domain": protocol.domain, "pairs": len(protocol.a), "identities": people}
            for key, rows, estimate in results:
                tables.write(folder / f"{key}.arrow", rows)
                report[key] = {**about, **scoring.summary(estimate, cfg.confidence)}
                wild += [estimate] if protocol.domain == "wild" else []
                accuracy.append(estimate.replicates[:, estimate.names.index("accuracy")])
        artifacts.write_array(folder / "replicates.npy", np.stack(accuracy))
    mean = scoring.summary(bootstrap.mean(wild), cfg.confidence)
    document = {"variant": entry.name, "seeds": entry.seeds, "protocols": report, "wild_mean": mean}
    artifacts.write_json(entry.report, document)
    value, low, high = (100 * mean["accuracy"][key] for key in ("value", "low", "high"))
    return f"evaluate {entry.name}: wild accuracy {value:.1f} % [{low:.1f}, {high:.1f}] -> {entry.report}"


def main() -> str:
    """Run the stage for the variant named on the command line."""
    return score(trained(stage.name("NAME, a key of `variants`")))


if __name__ == "__main__":
    stage.run(main)
