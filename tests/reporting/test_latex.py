"""The report's tables for LaTeX: what is special there is escaped, and every table is a file."""

import pytest

from stages.reporting import latex
from stages.reporting.blocks import Claim, Folded, Heading, Text
from stages.reporting.tables import Cell, Table


def test_a_table_is_a_tabular():
    table = Table(["training set", "LFW, %"], [[Cell("base_1 & co"), Cell("−0.5", "−1.0 to 2.0", strong=True)]])
    number = r"\begin{tabular}[t]{@{}r@{}}\textbf{$-$0.5}\\[-1ex]{\tiny $-$1.0 to 2.0}\end{tabular}"
    assert latex.tabular(table).splitlines() == [
        r"\begin{tabular}{lr}", r"\toprule", r"training set & LFW, \% \\", r"\midrule",
        rf"base\_1 \& co & {number} \\", r"\bottomrule", r"\end{tabular}",
    ]  # fmt: skip


def test_every_table_with_a_name_is_a_file():
    one, two, three, four = (Table([name], [[Cell(name)]], name=name) for name in ("a", "b", "c", ""))
    claim = Claim(Cell("1"), "", "", "", True, again=[three])
    texts = latex.tables([Heading("Results"), one, Text("x"), Folded("More", [two, four]), claim])
    assert texts == {table.name: latex.tabular(table) for table in (one, two, three)}


def test_two_tables_of_one_name_are_not_written_over_each_other():
    table = Table(["a"], [[Cell("1")]], name="a")
    with pytest.raises(AssertionError, match="two tables of one name"):
        latex.tables([table, Folded("More", [table])])
