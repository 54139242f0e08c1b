r"""Write the report's tables for LaTeX, as `\input` takes them; they need the package booktabs."""

from collections import Counter
from collections.abc import Iterator, Sequence

from stages.reporting.page import Block, Folded, Heading, anchor
from stages.reporting.tables import Cell, Table

ESCAPED = str.maketrans({
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "−": "$-$", "–": "--", "·": r"$\cdot$", "′": "$'$", "°": r"$^\circ$", "×": r"$\times$",
    "→": r"$\rightarrow$",
})  # fmt: skip


def tables(blocks: Sequence[Block]) -> dict[str, str]:
    """Return the tables of a page by name: that of their heading, or of the fold that they lie in, and a number."""
    texts, count = {}, Counter[str]()
    for heading, table in _tables(blocks, ""):
        name = anchor(heading)
        count[name] += 1
        texts[f"{name}-{count[name]}" if count[name] > 1 else name] = tabular(table)
    return texts


def _tables(blocks: Sequence[Block], heading: str) -> Iterator[tuple[str, Table]]:
    for block in blocks:
        match block:
            case Heading(text):
                heading = text
            case Folded(summary, inner):
                yield from _tables(inner, summary)
            case Table():
                yield heading, block


def tabular(table: Table) -> str:
    """Return a table; intervals stand small beside their numbers."""
    columns = "".join("l" if i < table.labels else "r" for i in range(len(table.header)))
    header = _row(text.translate(ESCAPED) for text in table.header)
    rows = [_row(map(_cell, row)) for row in table.rows]
    lines = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", header, r"\midrule", *rows, r"\bottomrule"]
    return "\n".join([*lines, r"\end{tabular}", ""])


def _row(cells: Iterator[str]) -> str:
    return " & ".join(cells) + r" \\"


def _cell(cell: Cell) -> str:
    text, interval = cell.text.translate(ESCAPED), cell.interval.translate(ESCAPED)
    text = rf"\textbf{{{text}}}" if cell.strong else text
    return rf"{text} {{\scriptsize {interval}}}" if interval else text
