"""The report's tables for LaTeX: what is special there is escaped, and every table is a file."""

from stages.reporting import latex
from stages.reporting.page import Folded, Heading, Text
from stages.reporting.tables import Cell, Table


def test_a_table_is_a_tabular():
    table = Table(["training set", "LFW, %"], [[Cell("base_1 & co"), Cell("−0.5", "−1.0 to 2.0", strong=True)]])
    assert latex.tabular(table).splitlines() == [
        r"\begin{tabular}{lr}", r"\toprule", r"training set & LFW, \% \\", r"\midrule",
        r"base\_1 \& co & \textbf{$-$0.5} {\scriptsize $-$1.0 to 2.0} \\", r"\bottomrule", r"\end{tabular}",
    ]  # fmt: skip


def test_tables_have_the_names_of_their_headings():
    one, two, three, four = (Table([name], [[Cell(name)]]) for name in "abcd")
    blocks = [Heading("Results, all"), one, Text("x"), two, Folded("More: d′", [three]), Heading("Results"), four]
    texts = latex.tables(blocks)
    assert list(texts) == ["results-all", "results-all-2", "more-d", "results"]
    assert texts["results"] == latex.tabular(four)
