r"""Write the report's tables for LaTeX, as `\input` takes them; they need the package booktabs."""

from collections.abc import Iterator, Sequence

from stages.reporting.blocks import Block, Claim, Folded
from stages.reporting.tables import Cell, Table

ESCAPED = str.maketrans({
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "−": "$-$", "–": "--", "·": r"$\cdot$", "′": "$'$", "°": r"$^\circ$", "×": r"$\times$",
    "→": r"$\rightarrow$", "≤": r"$\leq$", "≥": r"$\geq$",
})  # fmt: skip


def tables(blocks: Sequence[Block]) -> dict[str, str]:
    """Return the tables of a page that have a name, by name."""
    named = [table for table in _tables(blocks) if table.name]
    assert len({table.name for table in named}) == len(named), "two tables of one name"
    return {table.name: tabular(table) for table in named}


def _tables(blocks: Sequence[Block]) -> Iterator[Table]:
    for block in blocks:
        match block:
            case Folded(_, inner) | Claim(again=inner):
                yield from _tables(inner)
            case Table():
                yield block


def tabular(table: Table) -> str:
    """Return a table; intervals stand small below their numbers."""
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
    below = rf"\begin{{tabular}}[t]{{@{{}}r@{{}}}}{text}\\[-1ex]{{\tiny {interval}}}\end{{tabular}}"
    return below if interval else text
