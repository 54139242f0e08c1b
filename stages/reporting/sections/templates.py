"""The report's sections on templates, and on pairs by group."""

from collections.abc import Mapping, Sequence
from typing import Any

from stages.common import artifacts
from stages.reporting import results, tables
from stages.reporting.page import Block, Folded, Heading, Text
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
    return [Heading("Templates"), Text(say("templates")), *blocks] if blocks else []


def groups(inputs: Inputs) -> list[Block]:
    """Show the accuracy by group and the gap between best and worst, a table for each grouping."""
    scored, blocks = _sections(inputs, "groups"), []
    for name, about in _first(scored).items():
        names = {f"accuracy_{group}": f"{group}, {pairs:,} pairs" for group, pairs in about["pairs"].items()}
        protocol, _, grouping = name.rpartition("-by-")
        blocks.append(Text(f"{results.title(protocol)} by {grouping}."))
        blocks.append(_table(inputs, scored, name, names | {"accuracy_gap": "best − worst"}))
    return [Heading("By group"), Text(say("groups")), Folded("Accuracy by group", blocks)] if blocks else []


def _sections(inputs: Inputs, section: str) -> dict[str, Scored]:
    """Return what each variant scored in a section of its report; none where an older run has no such section."""
    files = {v.name: results.REPORTS / f"{v.name}.json" for v in inputs.variants}
    return {name: artifacts.read_mapping(file).get(section, {}) for name, file in files.items()}


def _first(scored: Mapping[str, Scored]) -> Scored:
    return next(iter(scored.values()), {})


def _table(inputs: Inputs, scored: Mapping[str, Scored], name: str, labels: Mapping[str, str]) -> Table:
    rows: Sequence[list[Cell]] = [
        [Cell(variant, colour=inputs.colours[variant]), *(tables.number(found[name].get(key)) for key in labels)]
        for variant, found in scored.items()
        if name in found
    ]
    return Table(["training set", *labels.values()], list(rows))


def _label(metric: str) -> str:
    kind, _, at = metric.rpartition("_")
    return f"{KINDS[kind]} {at}"
