"""How training sets differ, on the same pairs."""

from collections.abc import Sequence
from dataclasses import replace

from stages.metrics import bootstrap
from stages.metrics.verdicts import POWER
from stages.reporting import figures, results, tables
from stages.reporting.blocks import Block, Figures, Heading, Picture, Text
from stages.reporting.prose import say
from stages.reporting.results import TWIN, Contrast
from stages.reporting.sections import claims
from stages.reporting.sections.accuracy import shows
from stages.reporting.sections.inputs import Inputs


def differences(inputs: Inputs) -> list[Block]:
    """Show the paired differences that were asked for, and what they say."""
    if not inputs.contrasts:
        return []
    file = figures.phenomena(inputs.contrasts, inputs.folder / "phenomena.png")
    kind = "verdicts" if any(c.decides for c in inputs.contrasts) else "intervals"
    caption = say(f"differences figure {kind}", enough=bootstrap.SEEDS_FOR_A_VERDICT)
    return [
        *claims.of_contrasts(inputs),
        Heading("Differences"),
        Text(taken(inputs.contrasts, inputs.confidence)),
        Figures([Picture(file, caption, seen(inputs.contrasts))], wide=True),
        replace(tables.phenomena(inputs.contrasts), name="differences"),
    ]


def taken(contrasts: Sequence[Contrast], confidence: float) -> str:
    """Say how the differences are taken, which is the primary one, and for how many comparisons the others pay."""
    primary = [f"{results.minus_sign(c.name)} on {results.title(c.protocol)}" for c in contrasts if c.primary]
    kind = f"{'one' if primary else 'no'} primary"
    family = say(f"differences {kind}", primary="".join(primary), others=len(contrasts) - len(primary))
    return say("differences", family=family, level=100 * (1 - confidence), power=100 * POWER)


def seen(contrasts: Sequence[Contrast]) -> str:
    """Say what the figure of the differences shows."""
    rows = (
        f"{results.minus_sign(c.name)}, {results.title(c.protocol)}, {results.signed(100 * c.difference.value)}"
        + (" (hollow)" if not c.side else "")
        for c in contrasts
    )
    return say("alt differences", rows="; ".join(rows))


def gap(inputs: Inputs) -> list[Block]:
    """Show the synthetic-to-real gap as SynFace prints it."""
    variants = [v for v in inputs.variants if v.name in inputs.cfg.gap()]
    table = tables.gap(variants, inputs.measured, inputs.colours)
    if not table.rows:
        return []
    shown = replace(tables.add_smallest(table, shows(inputs, TWIN)), name="gap")
    return [Heading("Synthetic-to-real gap"), Text(say("gap")), shown]
