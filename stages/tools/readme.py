"""Insert measured figures into README.md: `python -m stages.tools.readme`.

The table of results comes from reports/results.csv, what would show from reports/metrics.json, the tables of packing
from reports/timing/pack.json. Each stands between two markers, and nobody types it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from stages.common import artifacts, params
from stages.common.errors import InputError
from stages.reporting import frame, markdown
from stages.reporting.results import TWIN, WILD
from stages.reporting.tables import WOULD_SHOW
from stages.tools import command

SHOWN = {  # a column's protocol and metric, and its name in reports/metrics.json
    (WILD, "accuracy"): "wild_accuracy",
    (WILD, "tar_at_far_0.01"): "wild_tar_at_far_0.01",
    (TWIN[1], "accuracy"): "syn_lfw_accuracy",
}
RULE = ("---", "--:")
METRICS = Path("reports/metrics.json")

MARKERS = {
    "results": ("<!-- results: written by stages.tools.readme -->", "<!-- end of results -->"),
    "packing": ("<!-- packing: written by stages.tools.readme -->", "<!-- end of packing -->"),
}


def table(measured: pd.DataFrame, names: list[str], smallest: Mapping[str, float]) -> str:
    """Return the results of the variants `names` as a Markdown table, and below them what would show.

    smallest: the difference that would show in each column, a share, as reports/metrics.json has it.
    """
    percent = (100 * measured[["value", "low", "high"]]).map("{:.1f}".format)
    rows = []
    for name in names:
        wild, tar, twin = (percent.loc[(name, *key)] for key in SHOWN)
        rows.append([f"`{name}`", wild.value, f"{wild.low} to {wild.high}", tar.value, twin.value])
    wild, tar, twin = (f"{100 * smallest[name]:.1f}" for name in SHOWN.values())
    rows.append([WOULD_SHOW, wild, "", tar, twin])
    header = ["training set", "wild accuracy, %", "interval", "TAR at FAR 1 %, %", "Syn-LFW, %"]
    return markdown.table(header, rows, 1, RULE)


def packing(report: dict[str, list[dict[str, Any]]]) -> str:
    """Return the figures of packing: geometric mean and worst by group of cells, the worst cell, large cases.

    Cells of alpha 0 are in reports/timing/pack.md only: for most of them there are closed forms.
    """
    sums = {(row["figure"], row["cells"]): row for row in report["summary"] if not row["cells"].endswith("alpha 0")}
    groups = list(dict.fromkeys(group for _, group in sums))
    rows = []
    for figure in dict.fromkeys(figure for figure, _ in sums):
        by_group = [sums.get((figure, group)) for group in groups]
        goal = next(row["asked"] for row in by_group if row)
        cells = [_mean_and_worst(row) if row else "" for row in by_group]
        rows.append([figure, *cells, f"{goal:g}"])
    summary = markdown.table(["geometric mean (worst)", *groups, "asked"], rows, 1, RULE)
    return "\n".join([summary, "", " ".join([_worst(report["cells"]), *map(_large, report["large"])])])


def _mean_and_worst(row: dict[str, Any]) -> str:
    digits = 3 if row["figure"].startswith("J") else 1
    worst = f"never in {row['never']} of {row['rows']}" if row["never"] else f"{row['worst']:.{digits}f}"
    return f"{row['mean']:.{digits}f} ({worst})"


def _worst(rows: list[dict[str, Any]]) -> str:
    row = rows[0]
    base = "twin" if row["reference / same"] is None else "reference"
    ratio = row[f"{base} / same"]
    comparison = f"takes {ratio:.1f} times less CPU time than the {base}" if ratio else "never comes to the loop's J"
    return (
        f"Worst of all {len(rows)} rows: {row['cell']}. There the solver {comparison} from the same rows, and ends at "
        f"{row['J same']:.3f} of the twin's J."
    )


def _large(row: dict[str, Any]) -> str:
    size = f"{row['m']:,} rows of {row['n']:,}, d = {row['d']}, alpha {row['alpha']:g}"
    duration = f"{row['minutes']:.1f} minutes on {row['cores']} cores ({row['CPU s']:.0f} CPU seconds)"
    return f"{size}: closest pair at {row['closest pair']:.4f}, in {duration}."


def insert(text: str, name: str, part: str) -> str:
    """Return `text` with `part` between the markers of `name`; raises ValueError when a marker is missing."""
    begin, end = MARKERS[name]
    if text.count(begin) != 1 or text.count(end) != 1:
        raise InputError("README.md", "markers are missing or there twice", allowed=f"one {begin!r} and one {end!r}")
    before, _, rest = text.partition(begin)
    return f"{before}{begin}\n{part}\n{end}{rest.partition(end)[2]}"


def main(words: list[str]) -> None:
    """Update README.md."""
    command.parser("readme", __doc__).parse_args(words)
    readme = Path("README.md")
    smallest = artifacts.read_mapping(METRICS, "would_show")["would_show"]
    results = table(frame.read(), list(params.read()["variants"]), smallest)
    text = insert(readme.read_text(), "results", results)
    text = insert(text, "packing", packing(artifacts.read_json("reports/timing/pack.json")))
    with artifacts.output_file(readme) as fresh:
        fresh.write_text(text)


if __name__ == "__main__":
    command.run(main)
