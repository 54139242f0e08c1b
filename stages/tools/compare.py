"""Compare revisions of this repository: `python -m stages.tools.compare REV REV ...`.

A REV is a commit, branch, tag or DVC experiment, or `workspace`. Reports are read from git, scores per pair from the
DVC cache or remote; nothing is checked out. Every later REV is set against the first, on the same pairs.

reads    reports/metrics.json, pack.json, audit.json, evaluate/*.json; data/evaluate/NAME/*.arrow; dvc.lock; params.yaml
writes   reports/compare.html, compare.md, compare.png: parameters that differ, paired differences and their plot, then
         every metric; the terminal shows the same, but of metrics other than accuracy only the wild mean
"""

import sys

from stages.common import stage
from stages.common.errors import InputError
from stages.metrics import bootstrap
from stages.tools.compare_differences import compare
from stages.tools.compare_page import PAGE, REPORT, show, write
from stages.tools.compare_sheets import metric_sheets, number_sheet
from stages.tools.revisions import resolve


def main() -> str:
    """Compare the revisions named on the command line."""
    if not sys.argv[1:] or "" in sys.argv:
        raise InputError("stages.tools.compare", "no revisions", allowed="commits, branches, tags, experiments")
    comparison = compare([resolve(name) for name in sys.argv[1:]])
    metrics, revisions = bootstrap.names(comparison.settings.rates.fars), comparison.revisions
    below = [*metric_sheets(revisions), *map(comparison.sheet, metrics), number_sheet(revisions)]
    below = [sheet for sheet in below if sheet.table.rows]
    show(comparison, below)
    write(comparison, below)
    return f"compare {' '.join(r.name for r in revisions)}: {len(below)} tables below -> {PAGE}, {REPORT}"


if __name__ == "__main__":
    stage.run(main)
