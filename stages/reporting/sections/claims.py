"""What the contrasts say, a claim each, with what it rests on."""

from collections.abc import Iterator
from pathlib import Path

from stages.metrics import bootstrap
from stages.reporting import results, tables
from stages.reporting.blocks import Block, Claim
from stages.reporting.prose import say
from stages.reporting.results import Contrast, signed
from stages.reporting.sections.inputs import Inputs
from stages.reporting.sections.parameters import again
from stages.reporting.tables import Cell
from stages.settings.report import WILD, Question


def of_contrasts(inputs: Inputs) -> list[Block]:
    """Return a claim for each contrast, the primary one first."""
    asked = list(zip(inputs.cfg.contrasts.items(), inputs.contrasts, strict=True))
    asked.sort(key=lambda pair: not pair[1].primary)
    return [_claim(inputs, key, question, contrast) for (key, question), contrast in asked]


def _claim(inputs: Inputs, key: str, question: Question, c: Contrast) -> Claim:
    pair = (question.of, question.against)
    values = {
        "variants": {name: inputs.values["variants"][name] for name in pair},
        "report": {"contrasts": {key: inputs.values["report"]["contrasts"][key]}},
    }
    made = " ".join(f"train@{name} evaluate@{name}" for name in pair)
    return Claim(
        Cell(signed(100 * c.difference.value), tables.difference(c, 1).interval),
        "points",
        _sentence(inputs, question),
        _verdict(c),
        c.side != 0,
        list(_evidence(inputs, question, c)),
        again(values, f"dvc repro -f -s {made} report"),
        detail=question.on != WILD and not question.primary,
    )


def _sentence(inputs: Inputs, question: Question) -> str:
    """Say what the two variants score where the question asks for it."""
    variants = {v.name: v for v in inputs.variants}
    of, against = variants[question.of], variants[question.against]
    names = {"of": question.of, "against": question.against, "on": _place(question.on)}
    if question.minus is None:
        after, before = (100 * float(v.accuracy(question.on).value[0]) for v in (of, against))
        return say("claim difference", **names, after=after, before=before)
    here, there = (
        signed(100 * float(of.accuracy(p).value[0] - against.accuracy(p).value[0]))
        for p in (question.on, question.minus)
    )
    return say("claim gap", **names, here=here, there=there, minus=_place(question.minus))


def _place(protocol: str) -> str:
    return say("claim on wild") if protocol == WILD else say("claim on", protocol=results.title(protocol))


def _verdict(c: Contrast) -> str:
    """Say whether the difference is clear, and, where it is not, how large a clear one would be."""
    still = c.smallest is None and c.reading == "not separated"
    about = {"seeds": c.difference.seeds, "enough": bootstrap.SEEDS_FOR_A_VERDICT, "smallest": 100 * (c.smallest or 0)}
    verdict = say("verdict nothing varied" if still else f"verdict {c.reading}", **about)
    return say("verdict primary", verdict=verdict) if c.primary else verdict


def _evidence(inputs: Inputs, question: Question, c: Contrast) -> Iterator[tuple[str, str | Path]]:
    yield "the difference", c.anchor
    yield "figure", inputs.folder / "phenomena.png"
    for name in (question.of, question.against):
        yield f"scores of {name}", tables.anchor(f"results {name}")
    for name in (question.of, question.against):
        yield f"faces of {name}", inputs.folder / f"faces-{name}.jpg"
