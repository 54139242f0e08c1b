"""Compare revisions of this repository: `python -m stages.tools.compare REV REV ...`.

A REV is a commit, branch, tag or DVC experiment, or `workspace`. Reports are read from git, scores per pair and curves
from the DVC cache or remote; nothing is checked out. Every later REV is set against the first, on the same pairs where
the benchmarks are the same, else side by side.

reads    reports/metrics.json, pack.json, audit.json, evaluate/*.json, figures/{faces-*,poses}.jpg; params.yaml;
         dvc.lock; data/evaluate/NAME/*.arrow, data/curves/NAME, data/benchmarks/PROTOCOL/groups.arrow
writes   reports/compare.html, one file that can be mailed: parameters that differ, verdicts in words, accuracies, ROC
         and training curves, faces, templates and groups, then every metric and every paired difference
         reports/compare.md and its pictures, compare/; the terminal shows parameters, accuracies and verdicts
"""

import sys

from stages.common import stage
from stages.common.errors import InputError
from stages.tools.compare_differences import compare
from stages.tools.compare_page import PAGE, REPORT, show, write
from stages.tools.revisions import resolve


def main() -> str:
    """Compare the revisions named on the command line."""
    if not sys.argv[1:] or "" in sys.argv:
        raise InputError("stages.tools.compare", "no revisions", allowed="commits, branches, tags, experiments")
    comparison = compare([resolve(name) for name in sys.argv[1:]])
    show(comparison)
    write(comparison)
    return f"compare {' '.join(comparison.names)} -> {PAGE}, {REPORT}"


if __name__ == "__main__":
    stage.run(main)
