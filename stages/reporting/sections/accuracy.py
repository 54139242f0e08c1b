"""What every training set scores on every protocol."""

from collections.abc import Sequence

from stages.reporting import figures, frame, results, tables
from stages.reporting.page import Block, Figures, Folded, Heading, Text
from stages.reporting.prose import say
from stages.reporting.results import FAR_GRID, TWIN
from stages.reporting.sections.inputs import DATA, Inputs
from stages.settings.report import WILD


def accuracies(inputs: Inputs) -> list[Block]:
    """Show the accuracy of every variant, then that of the unmixed ones by width and depth."""
    v, measured, colours = inputs.variants, inputs.measured, inputs.colours
    files = []
    for p in (WILD, *frame.names(measured, "studio")):
        name = "Mean of the wild protocols" if p == WILD else f"{results.title(p)} (studio)"
        scored, per_seed = frame.column(measured, colours, p), {x.name: x.accuracy(p).per_seed[:, 0] for x in v}
        files.append(figures.accuracy(scored, per_seed, colours, name, inputs.folder / f"accuracy-{p}.png"))
    others: list[Block] = []
    for name in (n for n in frame.level(measured, "metric") if n != "accuracy"):
        others += [Text(_metric(name)), tables.results(measured, colours, name, 1 if name in frame.UNITS else 100)]
    captions = [say("results figures"), *[""] * (len(files) - 1)]  # one caption for all of them
    shown = [*frame.names(measured, WILD), WILD, *frame.names(measured, "studio")]
    by_size = [TWIN[0], WILD, TWIN[1]]
    return [
        Heading("Results"),
        Text(say("results")),
        tables.add_smallest(tables.results(measured, colours, "accuracy"), smallest(inputs, shown)),
        Figures(list(zip(files, captions, strict=True))),
        Folded("True accept rates, area under the curve, d′", others),
        Heading("Width and depth"),
        Text(say("width and depth")),
        tables.add_smallest(tables.width_depth(v, measured, colours), smallest(inputs, by_size)),
    ]


def smallest(inputs: Inputs, protocols: Sequence[str]) -> list[float | None]:
    """Return the difference in accuracy that would show on each protocol; None where there is nothing to compare."""
    confidence, known = inputs.values["evaluate"]["confidence"], [WILD, *inputs.variants[0].protocols]
    return [results.smallest(inputs.variants, p, confidence) if p in known else None for p in protocols]


def _metric(name: str) -> str:
    kind, _, far = name.partition("tar_at_far_")
    return say("metric tar_at_far", far=far) if far else say(f"metric {kind}")


def curves(inputs: Inputs) -> list[Block]:
    """Show ROC curves on the mean of the wild protocols and on the studio ones."""
    of, pictures = inputs.variants[0], []
    groups = {"Mean of the wild protocols": of.names(WILD)}
    groups |= {f"{results.title(p)} (studio)": [p] for p in of.names("studio")}
    for name, protocols in groups.items():
        rates = {
            v.name: results.mean_roc([DATA / "evaluate" / v.name / f"{p}.arrow" for p in protocols])
            for v in inputs.variants
        }
        file = inputs.folder / ("roc-wild.png" if name.startswith("Mean") else f"roc-{protocols[0]}.png")
        caption = say(f"roc mean of {'protocols' if len(protocols) > 1 else 'seeds'}")
        pictures.append((figures.roc(rates, inputs.colours, name, file), caption))
    return [Heading("ROC curves"), Text(say("roc", least=FAR_GRID[0])), Figures(pictures)]


def external(inputs: Inputs) -> list[Block]:
    """Show the user's own sets, if there are any."""
    names = inputs.variants[0].names("external")
    if not names:
        return []
    people = ", ".join(f"{name} {inputs.variants[0].protocols[name]['identities']}" for name in names)
    table = tables.add_smallest(tables.external(inputs.measured, inputs.colours), smallest(inputs, names))
    return [Heading("Your own sets"), Text(say("external", people=people)), table]
