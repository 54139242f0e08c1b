"""Insert the results table into README.md: `python -m stages.tools.readme`.

The table is written from reports/metrics.json between two markers, and never typed.
"""

from pathlib import Path

from stages.common import artifacts, params
from stages.tools import command

BEGIN, END = "<!-- results: written by stages.tools.readme -->", "<!-- end of results -->"


def table(metrics: dict[str, dict[str, float]], names: list[str]) -> str:
    """Return the results of the variants `names` as a Markdown table."""
    lines = [
        "| training set | wild accuracy, % | interval | TAR at FAR 1 %, % | Syn-LFW, % |",
        "|---|--:|--:|--:|--:|",
    ]
    for name in names:
        row = metrics[name]
        low, high = 100 * row["wild_accuracy_low"], 100 * row["wild_accuracy_high"]
        cells = [
            f"`{name}`",
            f"{100 * row['wild_accuracy']:.1f}",
            f"{low:.1f} to {high:.1f}",
            f"{100 * row['wild_tar_at_far_0.01']:.1f}",
            f"{100 * row['syn_lfw_accuracy']:.1f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def insert(text: str, results: str) -> str:
    """Return `text` with what stands between the markers replaced; raises ValueError when a marker is missing."""
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise ValueError(f"README.md: expected one {BEGIN!r} and one {END!r}")
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n{results}\n{END}{rest.partition(END)[2]}"


def main(words: list[str]) -> None:
    """Update README.md."""
    command.parser("readme", __doc__).parse_args(words)
    readme = Path("README.md")
    results = table(artifacts.read_json("reports/metrics.json"), list(params.read()["variants"]))
    text = insert(readme.read_text(), results)
    with artifacts.output_file(readme) as fresh:
        fresh.write_text(text)


if __name__ == "__main__":
    command.run(main)
