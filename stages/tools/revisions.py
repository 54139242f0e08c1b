"""States of this repository, read through DVC from git and from its cache or remote; nothing is checked out."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from dvc.api import DVCFileSystem
from dvc.exceptions import DvcException
from dvc.scm import RevError
from dvc_data.index import DataIndexDirError, StorageError
from ruamel.yaml import YAML

from stages.common.errors import InputError
from stages.reporting import frame

NUMBERS = ("reports/metrics.json", "reports/pack.json", "reports/audit.json")
WORKSPACE = "workspace"
EVALUATED = "reports/evaluate"
UNREACHABLE = (OSError, DvcException, DataIndexDirError, StorageError)  # neither in git nor in a cache or remote


@dataclass(frozen=True)
class Revision:
    """One state of the repository: a commit, or the working tree where `commit` is None."""

    name: str
    commit: str | None
    files: DVCFileSystem

    def text(self, path: str) -> str | None:
        """Return the text of a file, None when this state has no such file."""
        return str(self.files.read_text(f"/{path}")) if self.files.isfile(f"/{path}") else None

    def json(self, path: str) -> Any:
        """Return a JSON file's value, None when there is no such file; raises ValueError when it is broken."""
        text = self.text(path)
        try:
            return None if text is None else json.loads(text)
        except json.JSONDecodeError as error:
            raise InputError(f"{path} at {self.name}", f"not valid JSON: {error}") from error

    @cached_property
    def reports(self) -> dict[str, dict[str, Any]]:
        """Return reports/evaluate/NAME.json by variant.

        The commit of an experiment that removes a variant still holds the report of that variant, which is left out.
        """
        files = {Path(file).stem: file for file in self.listed(EVALUATED, "*.json")}
        trained = self.params.get("variants") or files
        return {name: self.json(file) for name, file in files.items() if name in trained}

    @cached_property
    def results(self) -> pd.DataFrame:
        """Return the table of results, made from the reports of the variants, as old commits have no results.csv."""
        with self._readable():
            scored = {name: frame.with_mean(r["protocols"], r["wild_mean"]) for name, r in self.reports.items()}
            return frame.of(scored)

    def part(self, section: str) -> pd.DataFrame:
        """Return what a section of the reports beside `protocols` says of each variant, as `results` does."""
        with self._readable():
            found = {name: report.get(section, {}) for name, report in self.reports.items()}
            return frame.of({name: {key: _measured(x) for key, x in part.items()} for name, part in found.items()})

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except (AttributeError, KeyError, TypeError) as error:
            raise InputError(f"{EVALUATED} at {self.name}", f"not written by stages.evaluate; {error!r}") from error

    @property
    def variants(self) -> list[str]:
        """Return the names of the variants."""
        return frame.level(self.results, "variant")

    def scored(self, variant: str) -> pd.DataFrame:
        """Return the rows of a variant, none where it has none."""
        return self.results.reindex([variant], level="variant")

    @cached_property
    def params(self) -> dict[str, Any]:
        """Return params.yaml."""
        return YAML(typ="safe", pure=True).load(self.text("params.yaml") or "") or {}

    @cached_property
    def numbers(self) -> dict[str, float]:
        """Return the numbers of the reports in NUMBERS, by dotted names."""
        return dict(flat({Path(path).stem: self.json(path) for path in NUMBERS}))

    @cached_property
    def benchmarks(self) -> str | None:
        """Return the hash of data/benchmarks in dvc.lock."""
        folder = "/data/benchmarks"
        entry = self.files.info(folder) if self.files.exists(folder) else {}
        return entry.get("dvc_info", {}).get("md5")

    def benchmark(self, protocol: str) -> dict[str, str] | None:
        """Return the hashes of a protocol's images and pairs in data/benchmarks, None when DVC's cache lacks them."""
        folder = f"/data/benchmarks/{protocol.removesuffix('-centred')}"
        try:
            files = [self.files.info(file) for file in self.files.find(folder)]
        except UNREACHABLE:
            return None
        hashes = {Path(info["name"]).name: info.get("dvc_info", {}).get("md5") for info in files}
        return {name: md5 for name, md5 in hashes.items() if name != "groups.arrow"} or None

    def scores(self, variant: str, protocol: str) -> pa.Table | None:
        """Return the scores of every pair, None when neither the cache nor a remote holds them."""
        return self.table(f"data/evaluate/{variant}/{protocol}.arrow")

    def groups(self, protocol: str) -> pa.Table | None:
        """Return the groups of every pair, a column for each grouping, None when there are none."""
        return self.table(f"data/benchmarks/{protocol}/groups.arrow")

    def table(self, path: str) -> pa.Table | None:
        """Return an Arrow table, None when there is none; raises ValueError when it is broken."""
        content = self.content(path)
        try:
            return None if content is None else pa.ipc.open_file(content).read_all()
        except pa.ArrowInvalid as error:
            raise InputError(f"{path} at {self.name}", "truncated or not an Arrow IPC file") from error

    def content(self, path: str) -> bytes | None:
        """Return the bytes of a file, None when neither git nor DVC's cache nor a remote holds them."""
        try:
            content = self.files.read_bytes(f"/{path}")
        except UNREACHABLE:
            return None
        assert isinstance(content, bytes)
        return content

    def listed(self, folder: str, pattern: str) -> list[str]:
        """Return the paths in a folder that match a pattern, in order; none when the folder cannot be reached."""
        try:
            return sorted(str(file).lstrip("/") for file in self.files.glob(f"/{folder}/{pattern}"))
        except UNREACHABLE:
            return []


def _measured(part: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metrics of a part of a report, without its counts and remarks."""
    metrics = {key: entry for key, entry in part.items() if isinstance(entry, Mapping) and "value" in entry}
    return {"domain": part["domain"], **metrics}


def resolve(name: str) -> Revision:
    """Return the revision called `name`; raises ValueError when DVC knows none or cannot read its dvc.yaml."""
    files = DVCFileSystem(rev=None if name == WORKSPACE else name)
    try:
        commit = None if name == WORKSPACE else files.repo.get_rev()
        _ = files.repo.index.stages
    except (RevError, AttributeError) as error:  # AttributeError: `name` names a file
        allowed = f"what `git log --all` and `dvc exp show` list, or {WORKSPACE}"
        raise InputError(name, "no commit, branch or tag, and no single experiment", allowed=allowed) from error
    except DvcException as error:
        raise InputError(name, str(error)) from error
    return Revision(name[:10] if commit and commit.startswith(name.lower()) else name, commit, files)


def flat(value: Any, prefix: str = "") -> Iterator[tuple[str, float]]:
    """Yield (dotted name, number) for each number in nested mappings; lists and words are left out."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from flat(item, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield prefix, value
