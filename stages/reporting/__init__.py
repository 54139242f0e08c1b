"""Parts of `report`: they turn what other stages measured into tables, figures and one page.

They take reports/*.json, scores of pairs (s, p) with bootstrap replicates (r,), rows (m, d) and image shards, and
return blocks (headings, texts, tables, figures), which are written twice, as Markdown and as HTML. All scores are in
one table (`frame`), which the report, `compare` and the README read, and which reports/results.csv holds.

A table of the page has cells of a text and an interval; a figure is a file that depends on its data alone. A new
section is a function from `Inputs` to blocks in `sections`, named in `SECTIONS` of `stages.report`; its sentences are
in prose.md. What it found is a `Claim`, which the page shows first. A new column is a header and a cell in the function
of its table. If reports/ does not have the number yet, it is measured first, in `metrics` or `auditing`. An edit here
runs `report` alone. Known numbers are in tests/reporting, the page in tests/test_report.py.
"""
