"""The answer of `compare` on the terminal, as a page and as Markdown."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from stages.common import artifacts
from stages.metrics import bootstrap, verdicts
from stages.reporting import figures, page
from stages.reporting.page import Block, Figures, Folded, Heading, Text
from stages.reporting.results import Contrast
from stages.tools.compare_differences import Comparison
from stages.tools.compare_sheets import Sheet, parameter_sheet

PAGE, REPORT, PLOT = (Path(f"reports/compare.{kind}") for kind in ("html", "md", "png"))
HEADING = "Paired differences"
CAPTION = "Dot: the difference; bar: its interval. Blue: higher; orange: lower; hollow: no verdict."


def opening(comparison: Comparison, plot: Block | None) -> list[Block]:
    """Return the answer: parameters that differ, paired differences in accuracy, their plot, equal variants."""
    if len(comparison.revisions) == 1:
        return []
    parameters, lead = parameter_sheet(comparison.revisions), comparison.sheet("accuracy", brief=True)
    blocks: list[Block] = [Heading(parameters.title)]
    blocks += parameters.blocks() if parameters.table.rows else [Text("None.")]
    blocks += [Heading(HEADING), *map(Text, remarks(comparison))]
    return [*blocks, *lead.blocks(), *([plot] if plot else [])] if lead.table.rows else blocks


def remarks(comparison: Comparison) -> list[str]:
    """Return what a reader needs to know before the paired differences, a line for each point."""
    first, *others = (revision.name for revision in comparison.revisions)
    lines = []
    if comparison.lead:
        points = f"Points of accuracy, {', '.join(others)} minus {first}, on the same pairs."
        level = f"{100 * comparison.settings.confidence:g}"
        told = f"{verdicts_of(comparison)} {would_show(comparison.lead)}".strip()
        lines = [f"{points} {level} % intervals, by identity and training seed. {told}"]
    if comparison.equal and others:
        lines.append(f"Equal at all revisions: {', '.join(comparison.equal)}.")
    return lines + comparison.obstacles


def verdicts_of(comparison: Comparison) -> str:
    """Say what is bold, and whether so many training seeds suffice for a verdict."""
    seeds, enough = [contrast.difference.seeds for contrast in comparison.lead], bootstrap.SEEDS_FOR_A_VERDICT
    first, all_of_them = len(comparison.lead), len(comparison.contrasts)
    family = f"Bold where a difference is clear after correction for their number (Holm): {first} here"
    bold = f"{family}, {all_of_them - first} more below." if max(seeds) >= enough else ""
    few = (
        f"{min(seeds)} training seed{'s' * (min(seeds) > 1)} give no verdict, {enough} do."
        if min(seeds) < enough
        else ""
    )
    return f"{bold} {few}".strip()


def would_show(lead: Sequence[Contrast]) -> str:
    """Say how small a difference these people and seeds would show."""
    points = [100 * contrast.smallest for contrast in lead]
    ends = " to ".join(dict.fromkeys(f"{point:.1f}" for point in (min(points), max(points))))
    return f"Corrected, {100 * verdicts.POWER:g} of 100 repetitions would show a difference of {ends} points."


def show(comparison: Comparison, below: Sequence[Sheet]) -> None:
    """Print the answer and, below it, the brief tables."""
    console = Console(highlight=False)
    parameters, lead = parameter_sheet(comparison.revisions), comparison.sheet("accuracy", brief=True)
    if len(comparison.revisions) > 1:
        console.print(parameters.rich() if parameters.table.rows else f"{parameters.title}: none.")
    if lead.table.rows:
        console.print(lead.rich())
    for line in remarks(comparison):
        console.print(line, markup=False)
    for sheet in below:
        if sheet.brief:
            console.print(sheet.rich())


def write(comparison: Comparison, below: Sequence[Sheet]) -> None:
    """Write the page, the Markdown and the plot, which the page holds and the Markdown links to."""
    first, *others = (revision.name for revision in comparison.revisions)
    heading = f"{', '.join(others)} against {first}" if others else first
    rest = [Heading("Everything else"), *(Folded(sheet.title, sheet.blocks()) for sheet in below)]
    contrasts = comparison.lead
    plot = link = None
    PLOT.unlink(missing_ok=True)
    if contrasts:
        with artifacts.output_file(PLOT) as fresh:
            figures.phenomena(contrasts, fresh, 5.2)
        plot, link = Figures([(PLOT, CAPTION)]), Text(f"![{HEADING}]({PLOT.name})\n\n{CAPTION}")
    texts = {
        PAGE: page.html([*opening(comparison, plot), *rest], heading),
        REPORT: page.markdown([*opening(comparison, link), *rest], heading),
    }
    for file, text in texts.items():
        with artifacts.output_file(file) as fresh:
            fresh.write_text(text)
