"""How training sets differ, on the same pairs."""

from collections.abc import Sequence

from stages.metrics import bootstrap
from stages.metrics.verdicts import POWER
from stages.reporting import figures, results, tables
from stages.reporting.page import Block, Figures, Heading, Text
from stages.reporting.prose import say
from stages.reporting.results import TWIN, Contrast
from stages.reporting.sections.accuracy import smallest
from stages.reporting.sections.inputs import Inputs


def gap(inputs: Inputs) -> list[Block]:
    """Show the synthetic-to-real gap as SynFace prints it, then the phenomena with paired intervals."""
    blocks: list[Block] = [Heading("Synthetic-to-real gap")]
    variants = [v for v in inputs.variants if v.name in inputs.cfg.gap()]
    table = tables.gap(variants, inputs.measured, inputs.colours)
    if table.rows:
        blocks += [Text(say("gap")), tables.add_smallest(table, smallest(inputs, TWIN))]
    if inputs.contrasts:
        file = figures.phenomena(inputs.contrasts, inputs.folder / "phenomena.png")
        kind = "verdicts" if any(c.decides for c in inputs.contrasts) else "intervals"
        caption = say(f"differences figure {kind}", enough=bootstrap.SEEDS_FOR_A_VERDICT)
        blocks += [
            Text(results.statement(inputs.contrasts), key=True),
            Figures([(file, caption)], wide=True),
            Text(differences(inputs.contrasts, inputs.values["evaluate"]["confidence"])),
            tables.phenomena(inputs.contrasts),
        ]
    return blocks


def differences(contrasts: Sequence[Contrast], confidence: float) -> str:
    """Say how the differences are taken, which is the primary one, and for how many comparisons the others pay."""
    primary = [f"{results.minus_sign(c.name)} on {results.title(c.protocol)}" for c in contrasts if c.primary]
    kind = f"{'one' if primary else 'no'} primary"
    family = say(f"differences {kind}", primary="".join(primary), others=len(contrasts) - len(primary))
    return say("differences", family=family, level=100 * (1 - confidence), power=100 * POWER)
