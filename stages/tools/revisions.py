"""States of this repository, read through DVC from git and from its cache or remote; nothing is checked out."""

import json
from collections.abc import Iterator, Mapping
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
    def results(self) -> pd.DataFrame:
        """Return the table of results, made from the reports of the variants, as old commits have no results.csv."""
        folder = "reports/evaluate"
        files = sorted(map(str, self.files.glob(f"/{folder}/*.json")))
        reports = {Path(file).stem: self.json(file) for file in files}
        try:
            return frame.of({name: frame.with_mean(r["protocols"], r["wild_mean"]) for name, r in reports.items()})
        except (KeyError, TypeError) as error:
            raise InputError(f"{folder} at {self.name}", f"not written by stages.evaluate; {error!r}") from error

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

    def scores(self, variant: str, protocol: str) -> pa.Table | None:
        """Return the scores of every pair, None when neither the cache nor a remote holds them."""
        path = f"data/evaluate/{variant}/{protocol}.arrow"
        try:
            content = self.files.read_bytes(f"/{path}")
        except (OSError, DvcException, DataIndexDirError, StorageError):
            return None
        try:
            return pa.ipc.open_file(content).read_all()
        except pa.ArrowInvalid as error:
            raise InputError(f"{path} at {self.name}", "truncated or not an Arrow IPC file") from error


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
