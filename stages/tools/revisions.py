"""States of this repository, read from git and from DVC's cache or remote; nothing is checked out."""

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
from ruamel.yaml import YAML

NUMBERS = ("reports/metrics.json", "reports/pack.json", "reports/audit.json")
WILD_MEAN = "wild mean"
WORKSPACE = "workspace"


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
    def params(self) -> dict[str, Any]:
        """Return params.yaml."""
        return YAML(typ="safe", pure=True).load(self.text("params.yaml") or "") or {}

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
