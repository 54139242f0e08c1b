"""The answer of `compare` on the terminal, as a page and as Markdown."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from stages.common import artifacts
from stages.metrics import bootstrap
from stages.reporting import page
from stages.reporting.page import Block, Figures, Folded, Heading, Text
from stages.tools import compare_standings as standings
from stages.tools.compare_differences import Comparison
from stages.tools.compare_pictures import Album
from stages.tools.compare_sheets import Sheet, metric_sheets, number_sheet, parameter_sheets
from stages.tools.compare_words import remarks, statements

PAGE, REPORT = (Path(f"reports/compare.{kind}") for kind in ("html", "md"))
PICTURES = Path("reports/compare")


def opening(comparison: Comparison, album: Album) -> list[Block]:
    """Return the answer: parameters that differ, verdicts in words, accuracies and their differences."""
    if len(comparison.revisions) == 1:
        return []
    parameters, lead = parameter_sheets(comparison.revisions), standings.accuracies(comparison)
    blocks: list[Block] = [Heading(parameters[0].title)]
    blocks += [parameters[0].table] if parameters[0].table.rows else [Text("None.")]
    blocks += _folded([sheet for sheet in parameters[1:] if sheet.table.rows])
    blocks.append(Heading("Verdicts"))
    blocks += [Text(line, key=True) for line in statements(comparison)]
    blocks += [*map(Text, remarks(comparison)), *album.answer()]
    return [*blocks, Heading("Accuracy"), *_titled(lead)] if lead else blocks


def parts(comparison: Comparison) -> list[Block]:
    """Return what evaluation reports beside pairs in folds: templates, and pairs by group."""
    blocks: list[Block] = []
    templates, groups = standings.templates(comparison), standings.groups(comparison)
    if templates:
        text = "Several images of a person, pooled: in percent, paired where revisions draw the same people."
        blocks += [Heading("Templates"), Text(text), *_folded(templates)]
    if groups:
        blocks += [Heading("By group"), Text("Accuracy within each group of pairs, in percent."), *_folded(groups)]
    return blocks


def everything(comparison: Comparison) -> list[Block]:
    """Return all tables: every metric on every protocol, every paired difference, the numbers of the reports."""
    metrics = bootstrap.names(comparison.settings.rates.fars)
    differences = [standings.differences(comparison, metric) for metric in metrics]
    sheets = [*metric_sheets(comparison.revisions), *differences, number_sheet(comparison.revisions)]
    return [Heading("Everything else"), *_folded([sheet for sheet in sheets if sheet.table.rows])]


def _titled(sheets: Sequence[Sheet]) -> list[Block]:
    return [block for sheet in sheets for block in (Text(sheet.title), sheet.table)]


def _folded(sheets: Sequence[Sheet]) -> list[Block]:
    return [Folded(sheet.title, [sheet.table]) for sheet in sheets]


def show(comparison: Comparison) -> None:
    """Print the answer: parameters that differ, accuracies with their differences, verdicts in words."""
    console = Console(highlight=False)
    sheets = standings.accuracies(comparison)
    if len(comparison.revisions) > 1:
        parameters, unknown, _ = parameter_sheets(comparison.revisions)
        sheets = [parameters, *sheets] if parameters.table.rows else sheets
        if not parameters.table.rows:
            console.print(f"{parameters.title}: none.")
        if unknown.table.rows:
            console.print(f"{unknown.title}: {len(unknown.table.rows)}, on the page.")
    for sheet in sheets:
        console.print(sheet.rich(console.width))
    for line in [*statements(comparison), *remarks(comparison)]:
        console.print(line, markup=False)


def write(comparison: Comparison) -> None:
    """Write the page, which holds its pictures, and the Markdown, which links to them."""
    first, *others = comparison.names
    heading = f"{', '.join(others)} against {first}" if others else first
    with artifacts.output_folder(PICTURES) as folder:
        album = Album(comparison, folder)
        blocks = [*opening(comparison, album), *album.curves(), *album.trainings(), *album.faces()]
        blocks += [*parts(comparison), *everything(comparison)]
        texts = {PAGE: page.html(blocks, heading), REPORT: page.markdown(list(map(linked, blocks)), heading)}
    for file, text in texts.items():
        with artifacts.output_file(file) as fresh:
            fresh.write_text(text)


def linked(block: Block) -> Block:
    """Return a block whose pictures are links into the folder of pictures."""
    match block:
        case Figures():
            shown = [f"![{x.alt or x.file.stem}]({PICTURES.name}/{x.file.name})\n\n{x.caption}" for x in block.pictures]
            return Text("\n\n".join(map(str.strip, shown)))
        case Folded(summary, inner):
            return Folded(summary, list(map(linked, inner)))
    return block
