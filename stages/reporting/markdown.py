"""Write tables as Markdown: those of the report, of the tools and of the README."""

from collections.abc import Iterable, Sequence


def table(
    header: Sequence[str],
    rows: Iterable[Sequence[str]],
    labels: int | None = None,
    rule: tuple[str, str] = (" --- ", " ---: "),
) -> str:
    """Return a table whose first `labels` columns are text and the others numbers; without `labels` all are text.

    rule: the line below the header of a column of text, and of a column of numbers.
    """
    text = len(header) if labels is None else labels
    below = [rule[0]] * text + [rule[1]] * (len(header) - text)
    return "\n".join([line(header), f"|{'|'.join(below)}|", *map(line, rows)])


def line(cells: Iterable[str]) -> str:
    """Return a row of a table."""
    escaped = (cell.replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(escaped)} |"
