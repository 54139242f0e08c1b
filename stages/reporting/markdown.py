"""Write a table as Markdown: the report's, those of the tools and of the README."""

from collections.abc import Iterable, Sequence


def table(
    header: Sequence[str],
    rows: Iterable[Sequence[str]],
    labels: int | None = None,
    rule: tuple[str, str] = (" --- ", " ---: "),
) -> str:
    """Return a table whose first `labels` columns are text, as all are unless told, and the others numbers.

    rule: what stands below the header of a column of text and of one of numbers.
    """
    text = len(header) if labels is None else labels
    below = [rule[0]] * text + [rule[1]] * (len(header) - text)
    return "\n".join([line(header), f"|{'|'.join(below)}|", *map(line, rows)])


def line(cells: Iterable[str]) -> str:
    """Return a row of a table."""
    escaped = (cell.replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(escaped)} |"
