"""Compare revisions of this repository: `python -m stages.tools.compare REV REV ...`.

A REV is a commit, branch, tag or DVC experiment, or `workspace`. Reports are read from git, scores per pair from the
DVC cache or remote; nothing is checked out. Every later REV is set against the first, on the same pairs.

reads    reports/metrics.json, pack.json, audit.json, evaluate/*.json; data/evaluate/NAME/*.arrow; dvc.lock; params.yaml
writes   reports/compare.md   every metric; the terminal shows accuracy of all protocols and the rest of the wild mean
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from ruamel.yaml import YAML
from tqdm import tqdm

from stages.common import artifacts, params, stage
from stages.metrics import bootstrap
from stages.metrics.bootstrap import Estimate
from stages.settings.evaluate import Evaluate

REPORT = Path("reports/compare.md")
NUMBERS = ("reports/metrics.json", "reports/pack.json", "reports/audit.json")
PAIR_COLUMNS = ("a", "b", "same", "fold", "identity_a", "identity_b")
WILD_MEAN = "wild mean"
WORKSPACE = "workspace"
NONE = "-"


@dataclass(frozen=True)
class Revision:
    """One state of the repository: a commit, or the working tree where `commit` is None."""

    name: str
    commit: str | None

    def text(self, path: str) -> str | None:
        """Return the text of a file that git holds, None when this state has no such file."""
        if self.commit is None:
            return Path(path).read_text() if Path(path).is_file() else None
        return _git("show", f"{self.commit}:./{path}")

    def json(self, path: str) -> Any:
        """Return a JSON file's value, None when there is no such file; raises ValueError when it is broken."""
        text = self.text(path)
        try:
            return None if text is None else json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"{path} at {self.name}: not valid JSON: {error}") from error

    @cached_property
    def variants(self) -> dict[str, dict[str, Any]]:
        """Return {variant: {protocol: report}} with the mean over wild protocols as the last protocol."""
        folder = "reports/evaluate"
        if self.commit is None:
            files = sorted(path.as_posix() for path in Path(folder).glob("*.json"))
        else:
            listed = _git("ls-tree", "--name-only", self.commit, f"./{folder}/") or ""
            files = [file for file in listed.splitlines() if file.endswith(".json")]
        reports = {Path(file).stem: self.json(file) for file in files}
        try:
            return {name: {**r["protocols"], WILD_MEAN: r["wild_mean"]} for name, r in reports.items()}
        except (KeyError, TypeError) as error:
            raise ValueError(f"{folder} at {self.name}: not written by stages.evaluate; {error!r}") from error

    @cached_property
    def numbers(self) -> dict[str, float]:
        """Return every number of the reports that belong to no variant, by a dotted name."""
        found = {Path(path).stem: self.json(path) for path in NUMBERS}
        return dict(flat(found))

    @cached_property
    def benchmarks(self) -> str | None:
        """Return the hash of data/benchmarks in dvc.lock."""
        lock = YAML(typ="safe").load(self.text("dvc.lock") or "") or {}
        outs = [out for one in lock.get("stages", {}).values() for out in one.get("outs", [])]
        return next((out.get("md5") for out in outs if out["path"] == "data/benchmarks"), None)

    @cached_property
    def _files(self) -> Any:
        from dvc.api import DVCFileSystem

        return DVCFileSystem(rev=self.commit)

    def scores(self, variant: str, protocol: str) -> pa.Table | None:
        """Return the scores of every pair, None when neither the cache nor a remote holds them."""
        from dvc.exceptions import DvcException
        from dvc_data.index import DataIndexDirError, StorageError

        path = f"data/evaluate/{variant}/{protocol}.arrow"
        try:
            content = Path(path).read_bytes() if self.commit is None else self._files.read_bytes(f"/{path}")
        except (OSError, DvcException, DataIndexDirError, StorageError):
            return None
        try:
            return pa.ipc.open_file(content).read_all()
        except pa.ArrowInvalid as error:
            raise ValueError(f"{path} at {self.name}: truncated or not an Arrow IPC file") from error


@dataclass(frozen=True)
class Sheet:
    """A table for the terminal and for Markdown; `brief` rows alone are shown on the terminal."""

    title: str
    header: Sequence[str]
    rows: list[list[str]] = field(default_factory=list)
    brief: bool = True

    def rich(self) -> Table:
        """Return the table for the terminal: columns of words keep left, columns of numbers right."""
        table = Table(title=escape(self.title), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
        for i, name in enumerate(self.header):
            table.add_column(escape(name), justify="left" if i == 0 or name in LEFT else "right", overflow="fold")
        for before, row in zip([None, *self.rows], self.rows, strict=False):
            again = before is not None and row[0] == before[0] and self.header[0] == "variant"
            cells = ["" if again else row[0], *row[1:]]
            if len(row) > 4:  # too wide for 80 columns: the interval goes below its value
                cells = [cell.replace(" [", "\n[") for cell in cells]
            table.add_row(*map(escape, cells))
        return table

    def markdown(self) -> str:
        """Return the table in Markdown."""
        rows = [self.header, ["---"] * len(self.header), *self.rows]
        return f"## {self.title}\n\n" + "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


LEFT = ("protocol", "verdict")


def _git(*arguments: str) -> str | None:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else None


def resolve(name: str) -> Revision:
    """Return the revision called `name`; raises ValueError when there is none or experiments share the name."""
    if name == WORKSPACE:
        return Revision(name, None)
    commit = _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    if commit is not None:
        commit = commit.split()[-1]
        return Revision(name[:10] if commit.startswith(name.lower()) else name, commit)
    refs = (
        line.split()
        for line in (_git("for-each-ref", "--format=%(refname) %(objectname)", "refs/exps") or "").splitlines()
    )
    found = {
        commit for ref, commit in refs if re.fullmatch(rf"refs/exps/[0-9a-f]{{2}}/[0-9a-f]+/{re.escape(name)}", ref)
    }
    if len(found) != 1:
        what = "several experiments have this name, give a commit" if found else "no commit, branch, tag or experiment"
        raise ValueError(f"{name}: {what}; allowed: what `git log --all` and `dvc exp show` list, or {WORKSPACE}")
    return Revision(name, found.pop())


def flat(value: Any, prefix: str = "") -> Iterator[tuple[str, float]]:
    """Yield (dotted name, number) for each number in nested mappings; lists and words are left out."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from flat(item, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield prefix, value


def number_sheet(revisions: Sequence[Revision]) -> Sheet:
    """Return the numbers of the reports that are not equal at all revisions."""
    keys = dict.fromkeys(key for revision in revisions for key in revision.numbers)
    rows = [[key, *(f"{r.numbers[key]:g}" if key in r.numbers else NONE for r in revisions)] for key in keys]
    different = [row for row in rows if len(set(row[1:])) > 1 or len(revisions) == 1]
    equal = f", {len(rows) - len(different)} more are equal" if len(different) < len(rows) else ""
    return Sheet(f"Numbers of the reports{equal}", ["number", *(r.name for r in revisions)], different)


def metric_sheets(revisions: Sequence[Revision]) -> Iterator[Sheet]:
    """Yield one sheet per metric with all variants and protocols, and a brief one of the wild mean."""
    keys = list(dict.fromkeys((v, p) for r in revisions for v, protocols in r.variants.items() for p in protocols))
    variants = list(dict.fromkeys(v for v, _ in keys))
    keys.sort(key=lambda key: (variants.index(key[0]), key[1] == WILD_MEAN))
    found = [r.variants.get(v, {}).get(p, {}) for r in revisions for v, p in keys]
    metrics = list(dict.fromkeys(m for report in found for m, value in report.items() if _is_metric(value)))
    names = [r.name for r in revisions]
    mean = Sheet(f"Other metrics, {WILD_MEAN}", ["variant", "metric", *names])
    for metric in metrics:
        sheet = Sheet(title(metric), ["variant", "protocol", *names], brief=metric == "accuracy")
        for v, p in keys:
            cells = [shown(metric, r.variants.get(v, {}).get(p, {}).get(metric)) for r in revisions]
            sheet.rows.append([v, p, *cells])
            if p == WILD_MEAN and metric != "accuracy":
                mean.rows.append([v, title(metric), *cells])
        yield sheet
    mean.rows.sort(key=lambda row: variants.index(row[0]))
    yield mean


def _is_metric(value: Any) -> bool:
    return isinstance(value, Mapping) and {"value", "low", "high"} <= set(value)


def title(metric: str) -> str:
    """Return a metric's name with its unit, as a heading."""
    words = {"accuracy": "Accuracy, %", "auc": "AUC, %", "d_prime": "d'"}
    return words.get(metric) or metric.replace("tar_at_far_", "TAR at FAR ") + ", %"


def shown(metric: str, entry: Mapping[str, float] | None, sign: str = "") -> str:
    """Return a value and its interval, in percent but for d-prime; a dash for what was not measured."""
    if entry is None:
        return NONE
    scale, digits = (1, 2) if metric == "d_prime" else (100, 1)
    value, low, high = (f"{scale * entry[key] + 0.0:{sign}.{digits}f}" for key in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def difference_sheets(first: Revision, other: Revision, settings: Evaluate) -> tuple[list[Sheet], list[str]]:
    """Return one sheet per metric of `other` minus `first` on the same pairs, and a line for each obstacle."""
    if first.benchmarks is None or first.benchmarks != other.benchmarks:
        line = f"{other.name}: pairs differ from {first.name} (data/benchmarks in dvc.lock); no paired difference"
        return [], [f"{line}: commit your first run, made on your machine with your benchmarks, and compare with that"]
    estimates, lines = both_estimates(first, other, settings)
    metrics = bootstrap.names(settings.fars)
    sheets = []
    for metric in metrics:
        header = ["variant", "protocol", "difference", "verdict"]
        heading = f"{title(metric).replace('%', 'points')}: {other.name} minus {first.name}, same pairs"
        sheet = Sheet(heading, header, brief=metric == "accuracy")
        for (variant, protocol), (a, b) in estimates.items():
            d = bootstrap.paired_difference(a, b, metric, settings.confidence)
            if np.isfinite(d.value):
                cell = shown(metric, {"value": d.value, "low": d.low, "high": d.high}, "+")
                sheet.rows.append([variant, protocol, cell, d.verdict])
        sheets.append(sheet)
    return sheets, lines


def both_estimates(
    first: Revision, other: Revision, settings: Evaluate
) -> tuple[dict[tuple[str, str], tuple[Estimate, Estimate]], list[str]]:
    """Return {(variant, protocol): estimates of both} on equal pairs, and a line for each obstacle."""
    shared = {v: _shared(first, other, v) for v in first.variants if v in other.variants}
    keys = [(v, p) for v, protocols in shared.items() for p in protocols]
    result, missing, unequal = {}, {first.name: [], other.name: []}, []
    for variant, protocol in tqdm(keys, "resample", mininterval=1, delay=5, ncols=80, file=sys.stdout, leave=False):
        tables = [revision.scores(variant, protocol) for revision in (first, other)]
        for revision, table in zip((first, other), tables, strict=True):
            missing[revision.name] += [f"{variant}/{protocol}"] if table is None else []
        a, b = tables
        if a is None or b is None:
            continue
        if any(a.column(name) != b.column(name) for name in PAIR_COLUMNS):
            unequal.append(f"{variant}/{protocol}")
            continue
        result[variant, protocol] = estimate(a, settings), estimate(b, settings)
    for variant, protocols in shared.items():
        wild = [p for p in protocols if first.variants[variant][p].get("domain") == "wild"]
        if wild and all((variant, p) in result for p in wild):
            both = [result[variant, p] for p in wild]
            result[variant, WILD_MEAN] = bootstrap.mean([a for a, _ in both]), bootstrap.mean([b for _, b in both])
    lines = [_missing(name, files) for name, files in missing.items() if files]
    lines += [f"{other.name}: pairs differ, no paired difference: {', '.join(unequal)}"] if unequal else []
    order = list(shared)
    return dict(sorted(result.items(), key=lambda item: order.index(item[0][0]))), lines


def _shared(first: Revision, other: Revision, variant: str) -> list[str]:
    a, b = first.variants[variant], other.variants[variant]
    return [protocol for protocol in a if protocol in b and protocol != WILD_MEAN]


def _missing(name: str, files: Sequence[str]) -> str:
    some = ", ".join(files[:3]) + (f" and {len(files) - 3} more" if len(files) > 3 else "")
    way = "`dvc repro` or `dvc checkout`" if name == WORKSPACE else "`dvc fetch --all-commits`, or `dvc pull` there,"
    return f"{name}: scores are neither in the DVC cache nor in a remote: {some}; {way} brings them"


def estimate(table: pa.Table, settings: Evaluate) -> Estimate:
    """Return the metrics of a table of scores, drawn as stage `evaluate` draws them."""
    score, pairs = bootstrap.scored_pairs(table)
    return bootstrap.estimate(score, pairs, settings.fars, settings.replicates, settings.seed)


def settings_of(revision: Revision) -> Evaluate:
    """Return the section `evaluate` of params.yaml at a revision; raises ValueError when it is missing or wrong."""
    values = YAML(typ="safe", pure=True).load(revision.text("params.yaml") or "") or {}
    return params.check("evaluate", values.get("evaluate"), Evaluate, Path(f"params.yaml at {revision.name}"))


def main() -> str:
    """Compare the revisions named on the command line."""
    if not sys.argv[1:]:
        raise ValueError("stages.tools.compare: expected revisions; allowed: commits, branches, tags, experiments")
    revisions = [resolve(name) for name in sys.argv[1:]]
    first, *others = revisions
    settings = settings_of(first)
    sheets, lines = [*metric_sheets(revisions)], []
    for other in others:
        more, obstacles = difference_sheets(first, other, settings)
        sheets, lines = sheets + more, lines + obstacles
    sheets = [sheet for sheet in [*sheets, number_sheet(revisions)] if sheet.rows]
    console = Console()
    for sheet in sheets:
        if sheet.brief:
            console.print(sheet.rich())
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    head = [f"# {' against '.join(r.name for r in revisions)}", ""]
    head += [f"Intervals at {settings.confidence:.0%}, by identity and training seed.", ""]
    head += [part for line in lines for part in (line, "")]
    with artifacts.output_file(REPORT) as fresh:
        fresh.write_text("\n".join([*head, *(sheet.markdown() for sheet in sheets)]))
    return f"compare {' '.join(r.name for r in revisions)}: {len(sheets)} tables -> {REPORT}"


if __name__ == "__main__":
    stage.run(main)
