"""What the judge measured."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from stages.reporting import results, tables
from stages.reporting.blocks import Block, Claim, Folded, Heading, Text
from stages.reporting.prose import say
from stages.reporting.sections.domains import side_of
from stages.reporting.sections.inputs import Inputs
from stages.reporting.sections.parameters import again
from stages.reporting.tables import Cell, Table

LEAKAGE = "taken for someone of the gallery, %"
SIDES = {1: "more", 0: "alike", -1: "less"}


def audit(inputs: Inputs) -> list[Block]:
    """Show what the judge measured: a summary, and below it every figure, folded."""
    rest = {name: entry for name, entry in inputs.audit.items() if name != "capacity"}  # has its own section
    return [
        claim(inputs.audit),
        Heading("Audit"),
        Text(audited(inputs.audit)),
        replace(audit_summary(inputs.audit), name="audit"),
        Folded("All figures of the audit", [replace(tables.tree(rest), name="audit-whole")]),
    ]


def claim(audit: Mapping[str, Any]) -> Claim:
    """Say whether more images leak than by chance; the intervals decide."""
    leakage = audit["leakage"]
    rate, unrelated = leakage["rate"], tables.number(leakage["unrelated_rate"])
    side = side_of(rate, leakage["unrelated_rate"])
    asked = {"audit": {"false_match_rate": leakage["false_match_rate"]}}
    return Claim(
        tables.number(rate),
        say("claim leakage unit"),
        say("claim leakage", unrelated=unrelated.text, interval=unrelated.interval),
        say(f"verdict leakage {SIDES[side]}"),
        side != 0,
        [("the numbers", tables.anchor(f"audit {LEAKAGE}"))],
        again(asked, "dvc repro -f -s audit report"),
    )


def audited(audit: Mapping[str, Any]) -> str:
    """Say in words what the judge measured."""
    pairs, kept, images = audit["near_duplicates"]["pairs"], audit["kept"], audit["images"]
    return say("audit", pairs=pairs, kept=kept, images=images)


def audit_summary(audit: Mapping[str, Any]) -> Table:
    """Return the main figures of the audit, of packed identities beside gallery rows or unrelated people."""
    packed, gallery = audit["fidelity"]["packed"], audit["fidelity"]["gallery"]
    leakage, dimension = audit["leakage"], audit["dimension"]
    by_judge = packed["judge"], gallery["judge"]
    rows = {
        "cosine to the row asked for (recogniser)": (
            packed["recogniser"]["image"],
            gallery["recogniser"]["image"],
            None,
        ),
        "cosine to the person's other images": (*(x["to_the_others"] for x in by_judge), None),
        "the right person comes first, %": (*(x["top1"] for x in by_judge), None),
        "cosine of two images of one person": (audit["spread"]["judge"], None, None),
        "cosine to the nearest other person": (audit["separation"]["judge"]["mean"], None, None),
        LEAKAGE: (leakage["rate"], None, leakage["unrelated_rate"]),
        "dimensions that the people fill": (dimension["packed"]["judge"], None, dimension["unrelated"]["judge"]),
        **_by_witness(audit),
    }
    table = Table(["", "packed", "gallery rows", "unrelated people"])
    for label, entries in rows.items():
        table.rows.append(
            [
                Cell(label, anchor=tables.anchor(f"audit {label}")),
                *(_measure(entry, percent="%" in label) for entry in entries),
            ]
        )
    return table


def _by_witness(audit: Mapping[str, Any]) -> dict[str, tuple[Mapping[str, float], Mapping[str, float], None]]:
    """Return the row of the audit's summary that is the witness's: its cosines are on a scale of its own."""
    if "witness" not in audit:
        return {}
    packed, gallery = (audit["witness"]["fidelity"][kind]["top1"] for kind in ("packed", "gallery"))
    return {"the right person comes first (witness), %": (packed, gallery, None)}


def _measure(entry: Mapping[str, float] | float | None, percent: bool) -> Cell:
    if entry is None or isinstance(entry, Mapping):
        return tables.number(entry, scale=100 if percent else 1, places=1 if percent else 2)
    return Cell(results.digits(entry, 1 if entry > 1 else 2))
