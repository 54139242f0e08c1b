"""The report's sections on templates, and on pairs by group."""

from collections.abc import Mapping, Sequence

from stages.metrics.grouped import GAP
from stages.reporting import results, tables
from stages.reporting.blocks import Block, Folded, Heading, Text
from stages.reporting.prose import say
from stages.reporting.sections.inputs import Inputs
from stages.reporting.tables import Cell, Table

KINDS = {"tar_at_far": "TAR at FAR", "tpir_at_fpir": "TPIR at FPIR", "rank": "rank"}


def templates(inputs: Inputs) -> list[Block]:
    """Show how well templates are verified and identified, a table for each benchmark of them."""
    blocks = []
    for name, about in inputs.variants[0].others["templates"].items():
        kind = "search" if "probes" in about else "comparisons"
        where = _galleries([*about["galleries"].values()]) if kind == "search" else ""
        blocks.append(Text(say(f"templates {kind}", benchmark=results.title(name), where=where, **about)))
        blocks += [Text(f"{line}.") for line in about.get("unresolved", [])]
        scored = [v.others["templates"][name] for v in inputs.variants]
        names = [key for key in about if key.rpartition("_")[0] in KINDS and any(s.get(key) for s in scored)]
        blocks.append(_table(inputs, "templates", name, {key: _label(key) for key in names}))
    return [Heading("Templates"), Text(say("templates")), *blocks] if blocks else []


def groups(inputs: Inputs) -> list[Block]:
    """Show the accuracy by group and the gap between best and worst, a table for each grouping."""
    blocks = []
    for name, about in inputs.variants[0].others["groups"].items():
        names = {f"accuracy_{group}": f"{group}, {pairs:,} pairs" for group, pairs in about["pairs"].items()}
        protocol, _, grouping = name.rpartition("-by-")
        blocks.append(Text(f"{results.title(protocol)} by {grouping}."))
        blocks.append(_table(inputs, "groups", name, names | {GAP: "best − worst"}))
    text = Text(say("groups"))
    return [Heading("By group"), text, Folded("Accuracy by group", blocks)] if blocks else []


def _galleries(sizes: Sequence[int]) -> str:
    """Return what a probe is searched in: a gallery, or each of several by itself."""
    if len(sizes) == 1:
        return f"a gallery of {sizes[0]:,} templates"
    different = " and ".join(f"{size:,}" for size in dict.fromkeys(sizes))
    return f"each of {len(sizes)} galleries of {different} templates"


def _table(inputs: Inputs, section: str, name: str, labels: Mapping[str, str]) -> Table:
    """Return metrics of every variant on one benchmark, and what would show there."""
    names = [Cell(v.name, colour=inputs.colours[v.name]) for v in inputs.variants]
    scored = [v.others[section][name] for v in inputs.variants]
    rows = [[cell, *(tables.number(s.get(key)) for key in labels)] for cell, s in zip(names, scored, strict=True)]
    table = Table(["training set", *labels.values()], rows, name=tables.anchor(name))
    return tables.add_smallest(table, [tables.size(inputs.smallest.get((name, key))) for key in labels])


def _label(metric: str) -> str:
    kind, _, at = metric.rpartition("_")
    return f"{KINDS[kind]} {at}"
