"""Groups of pairs: groups.csv in a benchmark's folder, or NAME.groups.csv beside NAME.bin.

A header with the names of groupings (ethnicity, sex), then a line for each pair, in the pairs' order: the group that
both its images belong to, empty where they belong to none or to two.
"""

import csv
import re
from pathlib import Path

import numpy as np
import pyarrow as pa

from stages.common import artifacts
from stages.common.errors import InputError
from stages.formats import text

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _-]{0,59}")
MOST = 100  # groups of one grouping


def read(benchmark: Path, pairs: pa.Table) -> pa.Table | None:
    """Return a text column for each grouping, a row a pair, of a benchmark's list; None where there is no list.

    Raises InputError for a list of another length, a name that is none, and a group without pairs of both kinds.
    """
    file = benchmark / "groups.csv" if benchmark.is_dir() else benchmark.with_suffix(".groups.csv")
    if not file.is_file():
        return None
    try:
        header, *lines = [[cell.strip() for cell in line] for line in csv.reader(text.read(file).splitlines())] or [[]]
    except csv.Error as error:  # a quote that is never closed
        raise InputError(file, artifacts.brief(error), allowed="a comma-separated list") from error
    lines = [line or [""] for line in lines]  # a line of one empty cell
    if len(set(header)) < len(header) or not header:
        raise InputError(file, key="line 1", value=",".join(header), allowed="names of groupings, each once")
    for number, line in enumerate([header, *lines], 1):
        if len(line) != len(header) or not all(NAME.fullmatch(cell) or (number > 1 and not cell) for cell in line):
            allowed = f"{len(header)} names of letters, digits, blanks, - and _"
            raise InputError(file, key=f"line {number}", value=",".join(line)[:100], allowed=allowed)
    if len(lines) != len(pairs):
        raise InputError(file, key="lines after the first", value=len(lines), allowed=f"{len(pairs)}, one a pair")
    columns = {name: np.array([line[i] for line in lines]) for i, name in enumerate(header)}
    for name, column in columns.items():
        check(file, name, column, pairs)
    return pa.table(columns)


def check(file: Path, grouping: str, group: np.ndarray, pairs: pa.Table) -> None:
    """Raise InputError unless there are two groups or more, each with pairs of both kinds in two folds or more."""
    same, fold = pairs["same"].to_numpy(), pairs["fold"].to_numpy()
    names = [name for name in np.unique(group).tolist() if name]
    if not 2 <= len(names) <= MOST:
        raise InputError(file, key=f"groups of {grouping}", value=len(names), allowed=f"2 to {MOST}")
    for name in names:
        member = group == name
        genuine, impostor = (len(np.unique(fold[member & kind])) for kind in (same, ~same))
        if min(genuine, impostor) < 2:
            problem = "too few pairs: a group of one person has no impostor pair"
            allowed = "genuine and impostor pairs in two folds or more"
            raise InputError(file, problem, key=grouping, value=name, allowed=allowed)
