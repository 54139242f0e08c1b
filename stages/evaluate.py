"""Measure how well the recognisers of one variant verify unseen people: `python -m stages.evaluate NAME`.

reads    data/train/NAME/seed-SEED/              one recogniser per training seed
         data/benchmarks/index.json              the protocols; each folder holds image shards and pairs.arrow
writes   data/evaluate/NAME/PROTOCOL.arrow       a, b, same, fold, identity_a, identity_b, seed_SEED: the scores
         data/evaluate/NAME/replicates.npy        (protocols, 2, r) accuracy in each replicate, real and imaginary part
         reports/evaluate/NAME.json              metrics with intervals per protocol, and the mean of the wild ones
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stages.common import artifacts, networks, params, ranks, stage, tables
from stages.common.errors import InputError
from stages.common.evaluate import Evaluate
from stages.common.networks import Recogniser
from stages.metrics import bootstrap, scoring
from stages.metrics.bootstrap import Estimate
from stages.metrics.scoring import Protocol

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


def measured(entry: Scored, cfg: Evaluate, folder: Path) -> Iterator[tuple[Protocol, str, Estimate]]:
    """Yield every protocol with its measurements, in order; writes the scores of its pairs into `folder`.

    Ranks share the shards of images, then take a protocol each. Finished shards and protocols are kept.
    """
    protocols = scoring.protocols()
    rows = {protocol.name: scoring.embedded(entry.nets, protocol, folder) for protocol in protocols}
    files = {_estimate(folder, protocol.name): protocol for protocol in protocols}

    def work(file: Path) -> None:
        results = scoring.measure(files[file], rows[files[file].name], entry.seeds, cfg)
        for key, scored, estimate in reversed(results):  # the first one's file says that the protocol is done
            tables.write(folder / f"{key}.arrow", scored)
            artifacts.write_array(
                _estimate(folder, key), np.concatenate([estimate.per_seed, *bootstrap.parts(estimate.replicates)])
            )

    ranks.make({file: len(protocol.a) for file, protocol in files.items()}, work, f"evaluate {entry.name}", "pair")
    for protocol in protocols:
        for key in scoring.keys(protocol):
            seeds = len(entry.seeds)
            per_seed, *parts = np.split(artifacts.map_array(_estimate(folder, key)), [seeds, seeds + cfg.replicates])
            yield protocol, key, Estimate(bootstrap.names(cfg.fars), per_seed, bootstrap.whole(parts))


def _estimate(folder: Path, key: str) -> Path:
    return folder / f".measured-{key}.npy"  # per seed, then the replicates; hidden from the stage's output


def score(entry: Scored, folder: Path) -> str:
    """Score networks on every protocol, write all scores and the metrics; returns the closing line.

    folder: for what a later try need not do again.
    """
    cfg = params.load("evaluate", Evaluate)
    report: dict[str, Any] = {}
    wild, accuracy = [], []
    for protocol, key, estimate in measured(entry, cfg, folder):
        people = len(np.unique([protocol.identity_a, protocol.identity_b]))
        about = {"domain": protocol.domain, "pairs": len(protocol.a), "identities": people}
        report[key] = {**about, **scoring.summary(estimate, cfg.confidence)}
        wild += [estimate] if protocol.domain == "wild" else []
        accuracy.append(estimate.replicates[:, estimate.names.index("accuracy")])
    mean = scoring.summary(bootstrap.mean(wild), cfg.confidence)
    document = {"variant": entry.name, "seeds": entry.seeds, "protocols": report, "wild_mean": mean}
    if ranks.rank() == 0:
        artifacts.write_array(folder / "replicates.npy", np.stack([bootstrap.parts(x) for x in accuracy]))
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
