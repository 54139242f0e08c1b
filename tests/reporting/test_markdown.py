"""Tables in Markdown."""

from stages.reporting import markdown


def test_numbers_stand_to_the_right_of_text_and_a_bar_ends_no_cell():
    rows = [["x|y", "1", "2"]]
    assert markdown.table(["a|b", "c", "d"], rows, labels=1).splitlines() == [
        r"| a\|b | c | d |",
        "| --- | ---: | ---: |",
        r"| x\|y | 1 | 2 |",
    ]
    assert markdown.table(["a", "c", "d"], [], 2, ("---", "--:")).splitlines()[1] == "|---|---|--:|"
    assert markdown.table(["a", "b"], []).splitlines() == ["| a | b |", "| --- | --- |"]
