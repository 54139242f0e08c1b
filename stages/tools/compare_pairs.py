"""What two revisions scored on the same pairs, for `compare`: estimates of both, and what stands in the way."""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from stages.common import params
from stages.common.evaluate import Evaluate
from stages.metrics import bootstrap, grouped
from stages.metrics.bootstrap import Estimate
from stages.reporting import frame, results
from stages.reporting.results import WILD
from stages.tools.revisions import WORKSPACE, Revision

PAIR_COLUMNS = ("a", "b", "same", "fold", "identity_a", "identity_b")
Estimates = dict[tuple[str, str], tuple[Estimate, Estimate]]  # by (variant, protocol): of the first, of the other


def paired(first: Revision, other: Revision, settings: Evaluate) -> tuple[Estimates, list[str]]:
    """Return the estimates of both on equal pairs, and a line for each obstacle."""
    if not set(first.variants) & set(other.variants):
        return {}, [f"{other.name}: no training set of {first.name}, but {', '.join(other.variants)}"]
    shared = _shared(first, other)
    alike = [protocol for protocol in shared if _same_pairs(first, other, protocol)]
    if not alike:
        line = f"{other.name}: pairs differ from {first.name} (data/benchmarks in dvc.lock); no paired difference"
        return {}, [f"{line}: commit your first run, made on your machine with your benchmarks, and compare with that"]
    differ = [protocol for protocol in shared if protocol not in alike]
    lines = [f"{other.name}: pairs differ from {first.name} on {', '.join(differ)}"] if differ else []
    estimates, more = both_estimates(first, other, settings, alike)
    templates, unlike = template_estimates(first, other)
    return estimates | templates, lines + more + unlike + conventions(first, other)


def _shared(first: Revision, other: Revision) -> list[str]:
    a, b = (frame.level(revision.results, "protocol") for revision in (first, other))
    return [protocol for protocol in a if protocol in b and protocol != WILD]


def _same_pairs(first: Revision, other: Revision, protocol: str) -> bool:
    """Say whether a protocol's images and pairs are the same: all benchmarks are, or its own files."""
    if first.benchmarks is not None and first.benchmarks == other.benchmarks:
        return True
    files = first.benchmark(protocol)
    return files is not None and files == other.benchmark(protocol)


def conventions(*revisions: Revision) -> list[str]:
    """Return a line for each revision whose reports count accuracy in another way than the differences do."""
    found = {r.name: (r.params.get("evaluate") or {}).get("convention", "ours") for r in revisions}
    differ = {name: convention for name, convention in found.items() if convention != "ours"}
    return [f"{name}: accuracies are by {kind}'s convention, differences by ours" for name, kind in differ.items()]


def both_estimates(
    first: Revision, other: Revision, settings: Evaluate, protocols: Sequence[str]
) -> tuple[Estimates, list[str]]:
    """Return the estimates of what both scored on `protocols`, differently, and a line for each obstacle."""
    variants = [v for v in first.variants if not first.scored(v).equals(other.scored(v)) and v in other.variants]
    keys = [(v, p) for v in variants for p in protocols if all(_has(r, v, p) for r in (first, other))]
    result: Estimates = {}
    missing, differ = {first.name: [], other.name: []}, []
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
        for name, groups in groupings(first, other, protocol).items():
            result[variant, name] = group_estimate(a, groups, settings), group_estimate(b, groups, settings)
    wild = [frame.names(revision.results, WILD) for revision in (first, other)]
    for variant in variants if wild[0] == wild[1] else []:
        if all((variant, p) in result for p in wild[0]):
            result[variant, WILD] = _mean([result[variant, p] for p in wild[0]])
    lines = [_missing(name, files) for name, files in missing.items() if files]
    lines += [f"{other.name}: pairs differ, no paired difference: {', '.join(differ)}"] if differ else []
    return dict(sorted(result.items(), key=lambda item: variants.index(item[0][0]))), lines


def template_estimates(first: Revision, other: Revision) -> tuple[Estimates, list[str]]:
    """Return what both scored on templates, differently, with the replicates that `evaluate` kept, and obstacles.

    Replicates draw the same people where benchmarks, seed and number are the same.
    """
    scored = [{v: report.get("templates") or {} for v, report in r.reports.items()} for r in (first, other)]
    variants = [v for v, parts in scored[0].items() if parts and scored[1].get(v) and parts != scored[1][v]]
    if not variants or first.benchmarks is None or first.benchmarks != other.benchmarks:
        return {}, []
    drawn = [(settings.seed, settings.replicates) for settings in map(settings_of, (first, other))]
    if drawn[0] != drawn[1]:
        return {}, [f"{other.name}: evaluate.seed or replicates differ from {first.name}; templates are not paired"]
    result: Estimates = {}
    for variant in variants:
        a, b = (_of_templates(revision, variant) for revision in (first, other))
        for name in [name for name in a if name in b]:
            both = [metric for metric in a[name].names if metric in b[name].names]
            if both:
                result[variant, name] = a[name].only(both), b[name].only(both)
    return result, []


def _of_templates(revision: Revision, variant: str) -> dict[str, Estimate]:
    """Return what a variant scored on each benchmark of templates; nothing where replicates are lost or not kept."""
    file = f"data/evaluate/{variant}/replicates.arrow"
    replicates = revision.table(file)
    if replicates is None:
        return {}
    parts = revision.reports[variant]["templates"]
    where = f"{file} of {revision.name}"
    return {name: results.estimated(name, metrics, replicates, where) for name, metrics in parts.items()}


def _has(revision: Revision, variant: str, protocol: str) -> bool:
    return (variant, protocol) in revision.results.index.droplevel("metric")


def _mean(pairs: Sequence[tuple[Estimate, Estimate]]) -> tuple[Estimate, Estimate]:
    a, b = zip(*pairs, strict=True)
    return bootstrap.mean(a), bootstrap.mean(b)


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


def groupings(first: Revision, other: Revision, protocol: str) -> dict[str, dict[str, np.ndarray]]:
    """Return which pairs (p,) are of each group, by grouping and group, where both revisions group them alike."""
    a, b = first.groups(protocol), other.groups(protocol)
    if a is None or b is None or not a.equals(b):
        return {}
    columns = {name: np.array(a[name].to_pylist()) for name in a.column_names}
    return {
        f"{protocol}-by-{name}": {str(group): column == group for group in np.unique(column) if group}
        for name, column in columns.items()
    }


def group_estimate(table: pa.Table, groups: dict[str, np.ndarray], settings: Evaluate) -> Estimate:
    """Return the accuracy within each group of pairs and the gap, drawn as stage `evaluate` draws them."""
    score, pairs = bootstrap.scored_pairs(table)
    return grouped.estimate(score, pairs, groups, settings.replicates, settings.seed)


def settings_of(revision: Revision) -> Evaluate:
    """Return the section `evaluate` of params.yaml at a revision; raises ValueError when it is missing or wrong."""
    values = dict(revision.params.get("evaluate") or {})
    if "fars" in values:  # as it was called before there were other rates
        values["rates"] = {"fars": values.pop("fars")}
    return params.check("evaluate", values, Evaluate, Path(f"params.yaml at {revision.name}"))
