"""What two revisions scored on the same pairs, for `compare`: estimates of both, and what stands in the way."""

import sys
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
from tqdm import tqdm

from stages.common import params
from stages.common.evaluate import Evaluate
from stages.metrics import bootstrap
from stages.metrics.bootstrap import Estimate
from stages.reporting import frame
from stages.reporting.results import WILD
from stages.tools.revisions import WORKSPACE, Revision

PAIR_COLUMNS = ("a", "b", "same", "fold", "identity_a", "identity_b")
Estimates = dict[tuple[str, str], tuple[Estimate, Estimate]]  # by (variant, protocol): of the first, of the other


def paired(first: Revision, other: Revision, settings: Evaluate) -> tuple[Estimates, list[str]]:
    """Return the estimates of both on equal pairs, and a line for each obstacle."""
    if first.benchmarks is None or first.benchmarks != other.benchmarks:
        line = f"{other.name}: pairs differ from {first.name} (data/benchmarks in dvc.lock); no paired difference"
        return {}, [f"{line}: commit your first run, made on your machine with your benchmarks, and compare with that"]
    return both_estimates(first, other, settings)


def both_estimates(first: Revision, other: Revision, settings: Evaluate) -> tuple[Estimates, list[str]]:
    """Return the estimates of the protocols that both scored, differently, and a line for each obstacle."""
    shared = {v: _shared(first, other, v) for v in first.variants if not first.scored(v).equals(other.scored(v))}
    wild = frame.names(first.results, WILD)
    keys = [(v, p) for v, protocols in shared.items() for p in protocols]
    result, missing, differ = {}, {first.name: [], other.name: []}, []
    for variant, protocol in tqdm(keys, "resample", mininterval=1, delay=5, ncols=80, file=sys.stdout, leave=False):
        tables = [revision.scores(variant, protocol) for revision in (first, other)]
        for revision, table in zip((first, other), tables, strict=True):
            missing[revision.name] += [f"{variant}/{protocol}"] if table is None else []
        a, b = tables
        if a is None or b is None:
            continue
        if any(a.column(name) != b.column(name) for name in PAIR_COLUMNS):
            differ.append(f"{variant}/{protocol}")
            continue
        result[variant, protocol] = estimate(a, settings), estimate(b, settings)
    for variant, protocols in shared.items():
        scored = [p for p in protocols if p in wild]
        if scored and all((variant, p) in result for p in scored):
            pairs = [result[variant, p] for p in scored]
            result[variant, WILD] = bootstrap.mean([a for a, _ in pairs]), bootstrap.mean([b for _, b in pairs])
    lines = [_missing(name, files) for name, files in missing.items() if files]
    lines += [f"{other.name}: pairs differ, no paired difference: {', '.join(differ)}"] if differ else []
    order = list(shared)
    return dict(sorted(result.items(), key=lambda item: order.index(item[0][0]))), lines


def _shared(first: Revision, other: Revision, variant: str) -> list[str]:
    a, b = (frame.level(revision.scored(variant), "protocol") for revision in (first, other))
    return [protocol for protocol in a if protocol in b and protocol != WILD]


def _missing(name: str, files: Sequence[str]) -> str:
    listed = ", ".join(files[:3]) + (f" and {len(files) - 3} more" if len(files) > 3 else "")
    command = (
        "`dvc repro` or `dvc checkout`" if name == WORKSPACE else "`dvc fetch --all-commits`, or `dvc pull` there,"
    )
    return f"{name}: scores are neither in the DVC cache nor in a remote: {listed}; {command} brings them"


def estimate(table: pa.Table, settings: Evaluate) -> Estimate:
    """Return the metrics of a table of scores, drawn as stage `evaluate` draws them."""
    score, pairs = bootstrap.scored_pairs(table)
    return bootstrap.estimate(score, pairs, settings.rates.fars, settings.replicates, settings.seed)


def settings_of(revision: Revision) -> Evaluate:
    """Return the section `evaluate` of params.yaml at a revision; raises ValueError when it is missing or wrong."""
    values = dict(revision.params.get("evaluate") or {})
    if "fars" in values:  # as it was called before there were other rates
        values["rates"] = {"fars": values.pop("fars")}
    return params.check("evaluate", values, Evaluate, Path(f"params.yaml at {revision.name}"))
