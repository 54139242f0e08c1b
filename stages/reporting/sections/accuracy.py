"""What every training set scores on every protocol."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from stages.common import verification
from stages.reporting import figures, frame, results, scores, tables
from stages.reporting.blocks import Block, Figures, Folded, Heading, Picture, Text
from stages.reporting.prose import say
from stages.reporting.results import TWIN
from stages.reporting.scores import FAR_GRID
from stages.reporting.sections.inputs import DATA, Inputs
from stages.reporting.tables import Cell, Table
from stages.settings.report import WILD

ENOUGH = 10  # where fewer impostor pairs pass, the report says so; simulated are 3 and 30


def accuracies(inputs: Inputs) -> list[Block]:
    """Show the accuracy of every variant, then the other metrics, then that of the unmixed ones by width and depth."""
    captions = [say("results figures"), *[""] * len(_studio(inputs))]  # one caption for all of them
    pictures = [_picture(inputs, p, text) for p, text in zip((WILD, *_studio(inputs)), captions, strict=True)]
    others: list[Block] = []
    for metric in (name for name in frame.level(inputs.measured, "metric") if name != "accuracy"):
        others += [Text(_metric(inputs, metric)), _results(inputs, metric)]
    by_size = tables.width_depth(inputs.variants, inputs.measured, inputs.colours)
    return [
        Heading("Results"),
        Text(say("results")),
        _results(inputs, "accuracy"),
        Figures(pictures),
        Folded("True accept rates, area under the curve, d′, equal error rates", others),
        Heading("Width and depth"),
        Text(say("width and depth")),
        replace(tables.add_smallest(by_size, shows(inputs, [TWIN[0], WILD, TWIN[1]])), name="width-and-depth"),
    ]


def _studio(inputs: Inputs) -> list[str]:
    return frame.names(inputs.measured, "studio")


def _picture(inputs: Inputs, protocol: str, caption: str) -> Picture:
    """Draw the accuracies on a protocol."""
    scored = frame.column(inputs.measured, inputs.colours, protocol)
    per_seed = {v.name: v.accuracy(protocol).per_seed[:, 0] for v in inputs.variants}
    name, file = _where(protocol), inputs.folder / f"accuracy-{protocol}.png"
    rows = "; ".join(f"{v} {100 * x:.1f}" for v, x in scored["value"].items())
    return Picture(
        figures.accuracy(scored, per_seed, inputs.colours, name, file),
        caption,
        say("alt accuracy", name=name, rows=rows),
    )


def _where(protocol: str) -> str:
    return "Mean of the wild protocols" if protocol == WILD else f"{results.title(protocol)} (studio)"


def _results(inputs: Inputs, metric: str) -> Table:
    """Return one metric of every variant on every protocol, and what would show there."""
    scale, places = (1, 2) if metric in frame.UNITS else (100, 1)
    protocols = [*frame.names(inputs.measured, WILD), WILD, *_studio(inputs)]
    table = tables.results(inputs.measured, inputs.colours, metric, scale)
    shown = tables.add_smallest(table, shows(inputs, protocols, metric, scale, places))
    return replace(shown, name="results" if metric == "accuracy" else tables.anchor(metric))


def shows(
    inputs: Inputs, protocols: Sequence[str], metric: str = "accuracy", scale: float = 100, places: int = 1
) -> list[Cell]:
    """Return the difference that would show on each protocol."""
    return [tables.size(inputs.smallest.get((protocol, metric)), scale, places) for protocol in protocols]


def _metric(inputs: Inputs, name: str) -> str:
    """Say what a metric is, and of a TAR on how few impostors it hangs, where they are few."""
    kind, _, far = name.partition("tar_at_far_")
    if not far:
        return say(f"metric {kind}")
    of = [about["impostors"] for about in inputs.variants[0].protocols.values()]
    decide = [verification.accepted_impostors(impostors, float(far)) for impostors in of]
    least = min(count for count in decide if count)
    few = [say("metric tar_at_far few", impostors=least)] if least < ENOUGH else []
    return " ".join([say("metric tar_at_far", far=far), *few])


def curves(inputs: Inputs) -> list[Block]:
    """Show ROC curves on the mean of the wild protocols and on the studio ones."""
    groups = {WILD: inputs.variants[0].names(WILD)} | {p: [p] for p in _studio(inputs)}
    pictures = [_roc(inputs, protocol, files) for protocol, files in groups.items()]
    return [Heading("ROC curves"), Text(say("roc", least=FAR_GRID[0])), Figures(pictures)]


def _roc(inputs: Inputs, protocol: str, averaged: Sequence[str]) -> Picture:
    """Draw the ROC curve of every variant, the mean over some protocols."""
    rates = {
        v.name: scores.mean_roc([DATA / "evaluate" / v.name / f"{p}.arrow" for p in averaged]) for v in inputs.variants
    }
    file = figures.roc(rates, inputs.colours, _where(protocol), inputs.folder / f"roc-{protocol}.png")
    at = int(np.abs(FAR_GRID - figures.READ_AT).argmin())
    rows = "; ".join(f"{name} {curve[at]:.2f}" for name, curve in rates.items())
    caption = say(f"roc mean of {'protocols' if len(averaged) > 1 else 'seeds'}")
    return Picture(file, caption, say("alt roc", name=_where(protocol), far=figures.READ_AT, rows=rows))


def external(inputs: Inputs) -> list[Block]:
    """Show the user's own sets, if there are any."""
    names = inputs.variants[0].names("external")
    if not names:
        return []
    people = ", ".join(f"{name} {inputs.variants[0].protocols[name]['identities']}" for name in names)
    table = tables.add_smallest(tables.external(inputs.measured, inputs.colours), shows(inputs, names))
    return [Heading("Your own sets"), Text(say("external", people=people)), replace(table, name="your-own-sets")]
