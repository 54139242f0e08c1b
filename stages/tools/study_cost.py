"""What a study costs: an estimate from its parameters before it runs, and what its logs say afterwards.

The estimate adds up measured parts in CPU seconds (an AMD EPYC core with AVX-512; reports/log.md). What experiments
share, DVC's cache gives to all but the first, and it counts once. A log holds the wall time of each stage that ran.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from stages.common.variants import Variants
from stages.tools.study_plan import Experiment

IMAGE = {"gallery": 0.0032, "generate": 0.0057, "audit": 0.0017, "sets": 0.0037}  # CPU seconds for each image of 64 px
ROW, STEPS = 0.127, 8  # for each row that is refined in so many steps
SAMPLE, EVALUATION = 0.00114, 5.0  # for each face seen in training; for each trained network
BENCHMARKS = 35.0  # for all of them
STAGE_S = 2.5  # of wall time, in which DVC and a stage start and store what was made
FIXED = 9  # stages that an experiment has beside three for each of its training sets
RAN = re.compile(r"^Running stage '(.+)':$|\((\d+\.\d) s\)$", re.MULTILINE)


def estimates(experiments: Sequence[Experiment], cores: int) -> dict[str, float]:
    """Return the wall seconds of each experiment by name, on so many cores, which its stages share."""
    known: set[str] = set()
    seconds = {}
    for experiment in experiments:
        parts = {key: cost for key, cost in _parts(experiment.values) if key not in known}
        known |= set(parts)
        overhead = STAGE_S * (FIXED + 3 * len(experiment.values["variants"]))
        seconds[experiment.name] = sum(parts.values()) / cores + overhead
    return seconds


def _parts(values: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield what each stage depends on, as text, and its CPU seconds."""
    world, generate = values["world"], values["generate"]
    scale = (world["size_px"] / 64) ** 2
    gallery = {key: values[key] for key in ("world", "gallery", "embed")}
    drawn = {**gallery, "pack": values["pack"], "generate": generate}
    yield _key("gallery", gallery), scale * IMAGE["gallery"] * values["gallery"]["identities"]
    yield _key("benchmarks", [world, values["benchmarks"]]), scale * BENCHMARKS
    images, rows = _sizes(generate)
    refining = ROW * rows * generate["refine_steps"] / STEPS
    yield _key("generate", drawn), scale * (IMAGE["generate"] * images + refining)
    yield _key("audit", [drawn, values["audit"]]), IMAGE["audit"] * images
    for name, entry in values["sets"].items():
        yield _key("sets", [world, name, entry]), scale * IMAGE["sets"] * entry["identities"] * entry["images"]
    for name, variant in values["variants"].items():
        source = drawn if "audit" in (variant["source"], variant["mix"]) else world
        trained = [source, values["sets"], name, variant, values["train"]]
        seeds, train = len(values["train"]["runs"]["seeds"]), values["train"]
        yield _key("train", trained), seeds * SAMPLE * Variants(**variant).seen(train["samples"], train["epochs"])
        yield _key("evaluate", [trained, values["benchmarks"], values["evaluate"]]), seeds * EVALUATION


def _key(stage: str, reads: Any) -> str:
    return f"{stage} {json.dumps(reads, sort_keys=True)}"


def _sizes(generate: Mapping[str, Any]) -> tuple[int, int]:
    """Return how many images a drawing has, and how many rows are refined for it."""
    people, depths = generate["depths"]["identities"], generate["depths"]["images"]
    drawn = sum(max(k for m, k in zip(people, depths, strict=True) if i < m) for i in range(max(people)))
    widths = generate["mixup"]["identities"]
    mixed = sum([widths] if isinstance(widths, int) else widths) * generate["mixup"]["images"]
    control = 3 * generate["control"]["identities"]
    return drawn + mixed + control * generate["control"]["images"], max(people) + control


def measured(log: str) -> dict[str, float]:
    """Return the wall seconds of each stage that ran, by its address, from an experiment's log."""
    seconds: dict[str, float] = {}
    stage = ""
    for found in RAN.finditer(log):
        stage = found[1] or stage
        if found[2]:
            seconds[stage] = seconds.get(stage, 0.0) + float(found[2])
    return seconds


def spent(seconds: Mapping[str, float], name: str, training: Variants) -> dict[str, float]:
    """Return what `measured` gave for the stages that variant `name` depends on, without its name and that of its set.

    What all training sets depend on stands in it only where the generator drew the images.
    """
    sources = (training.source, training.mix)
    found: dict[str, float] = {}
    for address, each in seconds.items():
        stage, _, key = address.partition("@")
        shared = "audit" in sources and not key
        if f"sets/{key}" in sources if stage == "sets" else shared or key == name:
            found[stage] = found.get(stage, 0.0) + each
    return found
