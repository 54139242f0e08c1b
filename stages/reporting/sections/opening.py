"""What the run is about, and its most important numbers."""

from collections.abc import Mapping
from typing import Any

from stages.reporting import frame, results, tables
from stages.reporting.page import Block, Facts, Text
from stages.reporting.prose import say
from stages.reporting.sections.capacity import fitting, in_words
from stages.reporting.sections.inputs import Inputs
from stages.reporting.sections.packing import bound
from stages.reporting.tables import Cell
from stages.settings.report import WILD


def opening(inputs: Inputs) -> list[Block]:
    """Say what the run is about, then the most important numbers: those of the packing, then accuracies."""
    sources = [inputs.values["generate"], *inputs.values["sets"].values()]
    rendered = "everything" if all(source["backend"] == "embedded" for source in sources) else "protocols"
    intervals = say("intervals", confidence=100 * inputs.values["evaluate"]["confidence"])
    accuracy = _accuracy_facts(inputs)
    return [
        Text(f"{say(f'rendered {rendered}')} {intervals}", key=True),
        _packing_facts(inputs),
        Text(_capacityin_words(inputs.audit)),
        *([Facts(say("facts accuracy"), accuracy)] if accuracy else []),
    ]


def _capacityin_words(audit: Mapping[str, Any]) -> str:
    """Say what it means that identities fit, and how many do in the eyes of a witness."""
    text = say("facts capacity", allowed=100 * audit["capacity"]["confused"])
    if "witness" not in audit:
        return text
    capacity = audit["witness"]["capacity"]
    fits = {kind: in_words(fitting(capacity[kind])) for kind in ("packed", "gallery", "gaussian")}
    return f"{text} {say('facts witness', recogniser=audit['witness']['recogniser'], **fits)}"


def _packing_facts(inputs: Inputs) -> Facts:
    """Return the gap to the bound, and how many packed identities fit, beside gallery and Gaussian rows."""
    pack, alpha = inputs.pack, inputs.values["pack"]["alpha"]
    title = "hyperface" if pack["method"] == "hyperface" else "other"  # the other methods have no alpha
    items = [(say("fact gap", **bound(pack)), Cell(f"{pack['gap_deg']:.2f}°"))]
    for kind in ("packed", "gallery", "gaussian"):
        entry = inputs.audit["capacity"][kind]
        items.append((say(f"fact capacity {kind}", drawn=entry["drawn"]), fitting(entry)))
    return Facts(say(f"facts packing {title}", method=pack["method"], alpha=alpha), items)


def _accuracy_facts(inputs: Inputs) -> list[tuple[str, Cell]]:
    """Return the accuracies of the variants between which there is a gap, the gap, and the gain by domain mixup."""
    facts = {
        say("fact accuracy", variant=v.name): tables.number(frame.entry(inputs.measured, v.name, WILD))
        for v in inputs.variants
        if v.name in inputs.cfg.gap()
    }
    training = {v.name: v.training for v in inputs.variants}
    for question, c in zip(inputs.cfg.contrasts.values(), inputs.contrasts, strict=True):
        of, against = training[question.of], training[question.against]
        if question.on != WILD:
            continue
        if question.minus:
            facts.setdefault(say("fact accuracy gap", protocol=results.title(question.minus)), tables.difference(c, 1))
        elif of.mixed and not against.mixed and of.source == against.source:
            facts.setdefault(say("fact domain mixup"), tables.difference(c, 1))
    return list(facts.items())
