"""Measure how well the recognisers of one variant verify unseen people: `python -m stages.evaluate NAME`.

reads    data/train/NAME/seed-SEED.safetensors   one recogniser per training seed
         data/benchmarks/index.json              the protocols; each folder holds image shards and pairs.arrow
writes   data/evaluate/NAME/PROTOCOL.arrow       a, b, same, fold, identity_a, identity_b, seed_SEED: the scores
         data/evaluate/NAME/replicates.npy        (protocols, r) accuracy in each bootstrap replicate
         reports/evaluate/NAME.json              metrics with intervals per protocol, and the mean of the wild ones
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from stages import recognisers
from stages.common import artifacts, params, stage, tables
from stages.metrics import bootstrap
from stages.protocols import scoring
from stages.settings.evaluate import Evaluate
from stages.settings.train import Train

TRAINED = Path("data/train")
SCORES = Path("data/evaluate")
REPORTS = Path("reports/evaluate")


def scored(name: str, seeds: Sequence[int]) -> Iterator[tuple[str, str, pa.Table]]:
    """Yield (protocol, domain, table) for variant `name`; an external protocol comes twice, raw and centred."""
    nets = [recognisers.load("embedded", TRAINED / name / f"seed-{seed}.safetensors") for seed in seeds]
    for protocol in tqdm(scoring.protocols(), f"evaluate {name}", mininterval=1, ncols=80, file=sys.stdout):
        each = [scoring.scores(protocol, x) for x in scoring.embeddings(nets, protocol)]
        for key in each[0]:
            yield key, protocol.domain, scoring.table(protocol, np.stack([score[key] for score in each]), seeds)


def main() -> str:
    """Score the variant named on the command line on every protocol; keep all scores, report the metrics."""
    name = variant(sys.argv[1:])
    settings, seeds = params.load("evaluate", Evaluate), params.load("train", Train).seeds
    report: dict[str, Any] = {}
    wild, accuracy = [], []
    with artifacts.output_folder(SCORES / name) as folder:
        for key, domain, rows in scored(name, seeds):
            tables.write(folder / f"{key}.arrow", rows)
            score, pairs = bootstrap.scored_pairs(rows)
            estimate = bootstrap.estimate(score, pairs, settings.fars, settings.replicates, settings.seed)
            people = len(np.unique([pairs.identity_a, pairs.identity_b]))
            about = {"domain": domain, "pairs": len(rows), "identities": people}
            report[key] = {**about, **scoring.summary(estimate, settings.confidence)}
            wild += [estimate] if domain == "wild" else []
            accuracy.append(estimate.replicates[:, estimate.names.index("accuracy")])
        artifacts.write_array(folder / "replicates.npy", np.stack(accuracy))
    mean = scoring.summary(bootstrap.mean(wild), settings.confidence)
    file = REPORTS / f"{name}.json"
    artifacts.write_json(file, {"variant": name, "seeds": seeds, "protocols": report, "wild_mean": mean})
    value, low, high = (100 * mean["accuracy"][key] for key in ("value", "low", "high"))
    return f"evaluate {name}: wild accuracy {value:.1f} % [{low:.1f}, {high:.1f}] -> {file}"


def variant(arguments: Sequence[str]) -> str:
    """Return the one argument, the name of a variant; raises ValueError for anything else."""
    allowed = list(params.read().get("variants", {}))
    if len(arguments) != 1 or arguments[0] not in allowed:
        raise ValueError(f"stages.evaluate {' '.join(arguments)}: expected one variant; allowed: {', '.join(allowed)}")
    return arguments[0]


if __name__ == "__main__":
    stage.run(main)
