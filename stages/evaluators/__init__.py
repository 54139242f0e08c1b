"""Evaluators: what measures recognisers on a benchmark, one kind of protocol a file, named as in index.json.

In come a benchmark's folder (image shards, and the tables that say what is compared) and the rows (n, d) that each of s
recognisers, which differ in their training seed alone, gives its n images. Out comes, for each part of the benchmark,
an `Estimate`: metrics per seed (s, m) and per bootstrap replicate (r, m), in which people are drawn. A new kind is a
file here with a class `Kind` that keeps the Protocol `Evaluator`, its settings in stages/common/evaluate.py, and its
test in tests/evaluators; stage `benchmarks` writes its tables and names it in the index.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa

from stages.common import artifacts
from stages.common.errors import InputError
from stages.common.evaluate import Evaluate
from stages.common.images import Shards
from stages.metrics.bootstrap import Estimate

INDEX = Path("data/benchmarks/index.json")
KINDS = ("pairs", "groups", "templates", "open_set", "closed_set")  # the files here
SECTIONS = ("protocols", "groups", "templates")  # of the report
DOMAINS = ("wild", "studio", "external")


@dataclass(frozen=True)
class Benchmark:
    """Image shards in a folder, beside tables of what is compared; `kind` names the evaluator."""

    name: str
    kind: str
    folder: Path
    domain: str
    shards: Shards


class Part(NamedTuple):
    """What an evaluator measures: its name, the report's section (of SECTIONS), its metrics, and facts as counts."""

    key: str
    section: str
    metrics: tuple[str, ...]
    about: dict[str, Any]


class Measured(NamedTuple):
    """The estimate of a part, and the table of scores that is kept, if there is one."""

    estimate: Estimate
    scores: pa.Table | None = None


class Evaluator(Protocol):
    """Measures recognisers on one benchmark.

    unit: whether it takes unit rows, or rows with their native norms. mirrored: whether it takes the sum of the rows of
    an image and of its mirror image. size: how many comparisons it makes.
    """

    benchmark: Benchmark
    unit: bool
    mirrored: bool
    size: int

    def parts(self) -> list[Part]:
        """Return what it measures, in the order of the report."""
        ...

    def measure(self, rows: Sequence[np.ndarray], seeds: Sequence[int]) -> list[Measured]:
        """Return the estimate of each part from the rows (n, d) by each of the recognisers."""
        ...


def load(cfg: Evaluate) -> list[Evaluator]:
    """Return the evaluators of all benchmarks; raises InputError when a benchmark contradicts itself."""
    found = benchmarks()
    return [import_module(f"stages.evaluators.{benchmark.kind}").Kind(benchmark, cfg) for benchmark in found]


def benchmarks() -> list[Benchmark]:
    """Return the benchmarks that index.json names; raises InputError when it is broken."""
    try:
        entries = artifacts.read_json(INDEX)["protocols"]
        listed = [(str(p["name"]), str(p["kind"]), Path(p["folder"]), str(p["domain"])) for p in entries]
    except (KeyError, TypeError) as error:
        problem, allowed = f"not readable ({artifacts.brief(error)})", "a name, a kind, a folder and a domain for each"
        raise InputError(INDEX, problem, key="protocols", allowed=allowed) from error
    for name, kind, _, domain in listed:
        for key, value, allowed in (("kind", kind, KINDS), ("domain", domain, DOMAINS)):
            if value not in allowed:
                raise InputError(INDEX, key=f"{key} of {name}", value=value, allowed=", ".join(allowed))
    if not any((kind, domain) == ("pairs", "wild") for _, kind, _, domain in listed):
        raise InputError(INDEX, "no pairs of domain wild", key="protocols", allowed="one or more of domain wild")
    shards = {folder: Shards(folder, "*-[0-9]*.arrow") for _, _, folder, _ in listed}  # not the tables beside them
    return [Benchmark(name, kind, folder, domain, shards[folder]) for name, kind, folder, domain in listed]


def mirrored(benchmark: Benchmark, cfg: Evaluate) -> bool:
    """Say whether the rows of images and their mirror images are added: photographs', and all by insightface's way."""
    return benchmark.domain == "external" or cfg.convention != "ours"


def beyond(source: Path, columns: dict[str, np.ndarray], count: int) -> None:
    """Raise InputError unless all values of some columns, of a table in `source`, are at least 0 and below `count`."""
    for name, values in columns.items():
        if len(values) == 0 or values.min() < 0 or values.max() >= count:
            raise InputError(source, "a number beyond them, or no row", key=name, allowed=f"0 to {count - 1}")
