"""The report's sections on templates, and on pairs by group."""

from collections.abc import Mapping
from typing import Any

from stages.common import artifacts
from stages.reporting import results, scores, tables
from stages.reporting.blocks import Block, Folded, Heading, Text
from stages.reporting.prose import say
from stages.reporting.sections.inputs import Inputs
from stages.reporting.tables import Cell, Table

KINDS = {"tar_at_far": "TAR at FAR", "tpir_at_fpir": "TPIR at FPIR", "rank": "rank"}
Scored = Mapping[str, Mapping[str, Any]]  # metrics by benchmark or grouping


def templates(inputs: Inputs) -> list[Block]:
    """Show how well templates are verified and identified, a table for each benchmark of them."""
    scored, blocks = _sections(inputs, "templates"), []
    for name, about in _first(scored).items():
        kind = "search" if "probes" in about else "comparisons"
        blocks.append(Text(say(f"templates {kind}", benchmark=results.title(name), **about)))
        blocks += [Text(f"{line}.") for line in about.get("unresolved", [])]
        names = [key for key in about if key.rpartition("_")[0] in KINDS]
        blocks.append(_table(inputs, scored, name, {key: _label(key) for key in names}))
    return [Heading("Templates"), Text(f"{say('templates')} {say('at most')}"), *blocks] if blocks else []


def groups(inputs: Inputs) -> list[Block]:
    """Show the accuracy by group and the gap between best and worst, a table for each grouping."""
    scored, blocks = _sections(inputs, "groups"), []
    for name, about in _first(scored).items():
        names = {f"accuracy_{group}": f"{group}, {pairs:,} pairs" for group, pairs in about["pairs"].items()}
        protocol, _, grouping = name.rpartition("-by-")
        blocks.append(Text(f"{results.title(protocol)} by {grouping}."))
        blocks.append(_table(inputs, scored, name, names | {"accuracy_gap": "best − worst"}))
    text = Text(f"{say('groups')} {say('at most')}")
    return [Heading("By group"), text, Folded("Accuracy by group", blocks)] if blocks else []


def _sections(inputs: Inputs, section: str) -> dict[str, Scored]:
    """Return what each variant scored in a section of its report; none where an older run has no such section."""
    files = {v.name: results.REPORTS / f"{v.name}.json" for v in inputs.variants}
    return {name: artifacts.read_mapping(file).get(section, {}) for name, file in files.items()}


def _first(scored: Mapping[str, Scored]) -> Scored:
    return next(iter(scored.values()), {})


def _table(inputs: Inputs, scored: Mapping[str, Scored], name: str, labels: Mapping[str, str]) -> Table:
    """Return metrics of every variant on one benchmark, and from their intervals what would show at most."""
    found = {variant: metrics[name] for variant, metrics in scored.items() if name in metrics}
    rows = [
        [Cell(variant, colour=inputs.colours[variant]), *(tables.number(metrics.get(key)) for key in labels)]
        for variant, metrics in found.items()
    ]
    table = Table(["training set", *labels.values()], rows, name=tables.anchor(name))
    columns = {key: [metrics.get(key) for metrics in found.values()] for key in labels}
    most = [scores.at_most(key, entries, inputs.confidence) for key, entries in columns.items()]
    return tables.add_smallest(table, [tables.size(size, at_most=True) for size in most])


def _label(metric: str) -> str:
    kind, _, at = metric.rpartition("_")
    return f"{KINDS[kind]} {at}"
