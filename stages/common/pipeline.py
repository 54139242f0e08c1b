"""What dvc.yaml declares of the stage that runs: its dependencies, parameters and outputs, and their state.

The state's digest is the key of a stage's scratch folder. The state must be the same at the end of a run as at its
start: DVC reads parameters and dependencies again once the command has ended, and records those.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from stages.common import artifacts, params
from stages.common.errors import InputError, shown

FILE = Path("dvc.yaml")
ROOT = Path(__file__).parents[2]  # of the code; data/ is in the working directory
IGNORED = ("__pycache__", ".pyc", ".tmp-")  # as in .dvcignore
Files = dict[str, str]
WHOLE = ""  # the dotted key of all of params.yaml


class ChangedError(InputError):
    """Parameters or dependencies of a stage changed while it ran."""


@dataclass(frozen=True)
class Declared:
    """A stage of dvc.yaml with its templates filled in: paths, and dotted keys of params.yaml.

    removed: those of the outputs that DVC removes before it runs the stage.
    """

    deps: tuple[Path, ...] = ()
    params: tuple[str, ...] = ()
    outs: tuple[Path, ...] = ()
    removed: tuple[Path, ...] = ()


@dataclass(frozen=True)
class State:
    """The values of a stage's parameters and the contents of its dependencies, by dotted key and by file."""

    params: dict[str, Any]
    files: Files

    def key(self) -> str:
        """Return a digest of it."""
        return hashlib.sha256(json.dumps([self.params, self.files], sort_keys=True, default=str).encode()).hexdigest()


def declared(address: str) -> Declared:
    """Return what dvc.yaml declares of the stage at `address`, e.g. `pack` or `train@base`; nothing if it has none.

    Raises ValueError when a template names a value that params.yaml lacks.
    """
    stage, _, item = address.partition("@")
    entry = _stages().get(stage)
    if entry is None:
        return Declared()
    values: dict[str, Any] = params.read()
    if "foreach" in entry:
        entries = values.get(entry["foreach"][2:-1])  # ${sets}
        if not isinstance(entries, dict) or item not in entries:
            return Declared()
        entry, values = entry["do"], {**values, "key": item, "item": entries[item]}
    outs = {Path(filled(path, values)): flags for path, flags in _outputs(entry)}
    return Declared(
        deps=tuple(Path(os.path.normpath(filled(dep, values))) for dep in entry.get("deps", [])),
        params=tuple(WHOLE if isinstance(key, dict) else filled(key, values) for key in entry.get("params", [])),
        outs=tuple(outs),
        removed=tuple(out for out, flags in outs.items() if not flags.get("persist")),
    )


def _outputs(entry: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the path of every output and its flags; an entry is a path, or a mapping of one path to flags."""
    for out in [*entry.get("outs", []), *entry.get("metrics", []), *entry.get("plots", [])]:
        yield from [(out, {})] if isinstance(out, str) else out.items()


def _stages() -> dict[str, Any]:
    file = FILE if FILE.exists() else ROOT / FILE
    return _parsed(file.read_text())["stages"]


@lru_cache(maxsize=2)
def _parsed(text: str) -> Any:
    return YAML(typ="safe").load(text)


def filled(template: str, values: dict[str, Any]) -> str:
    """Return a template of dvc.yaml with `${a.b}` replaced by that value."""
    return re.sub(r"\$\{([\w.-]+)\}", lambda match: str(value_of(match[1], values)), template)


def value_of(key: str, values: dict[str, Any]) -> Any:
    """Return the value at a dotted key; raises ValueError when there is none."""
    node: Any = values
    for part in key.split(".") if key != WHOLE else ():
        if not isinstance(node, dict) or part not in node:
            raise InputError(params.FILE, f"missing; {FILE} names it", key=key)
        node = node[part]
    return node


def state(address: str) -> State:
    """Return the state of what the stage at `address` reads.

    A code file counts by its content, a data file by its size and time of change, as for DVC.
    """
    stage = declared(address)
    values = params.read() if stage.params else {}
    return State(
        {key: value_of(key, values) for key in stage.params},
        {name: stamp for dep in stage.deps for name, stamp in stamps(dep)},
    )


def stamps(dep: Path) -> Iterator[tuple[str, str]]:
    """Yield every file of a dependency with the digest or stamp of its content."""
    code = dep.parts[0] == "stages"
    path = ROOT / dep if code else dep
    for file in _below(path) if path.is_dir() else [path]:
        name = file.relative_to(ROOT) if code else file
        ignored = any(part.startswith(IGNORED) or part.endswith(IGNORED) for part in name.parts)
        if file.is_file() and not ignored:
            yield str(name), artifacts.digest(file) if code else _stamp(file)


def _below(folder: Path) -> list[Path]:
    """Return the files below a folder, also behind links, as the readers of sets follow them; circles end."""
    paths, seen = [], set()
    for parent, folders, files in os.walk(folder, followlinks=True):
        if (real := os.path.realpath(parent)) in seen:
            folders.clear()
            continue
        seen.add(real)
        paths += [Path(parent, file) for file in files]
    return sorted(paths)


def _stamp(file: Path) -> str:
    status = file.stat()
    return f"{status.st_size} bytes of {status.st_mtime_ns}"


@contextmanager
def unchanged(address: str) -> Iterator[State]:
    """Yield the state of the stage; within the block params.yaml is read as it was at the start.

    Raises ChangedError when the block ends well and the state has changed: DVC would record what the stage never read.
    """
    with params.pinned():
        before = state(address)
        yield before
    after = state(address)
    for key, (old, new) in _differing(before.params, after.params).items():
        problem = f"became {shown(new)} while the stage ran; run it again"
        raise ChangedError(params.FILE, problem, key=key.removeprefix("."), value=old)
    for file in _differing(before.files, after.files):
        raise ChangedError(file.removeprefix("."), "changed while the stage ran; run it again")


def _differing(before: Any, after: Any, key: str = "") -> dict[str, tuple[Any, Any]]:
    """Return the leaves that differ between two trees of mappings, by dotted key."""
    if not (isinstance(before, dict) and isinstance(after, dict)):
        return {} if before == after else {key: (before, after)}
    names = [*before, *(name for name in after if name not in before)]
    leaves = {}
    for name in names:
        leaves |= _differing(before.get(name), after.get(name), f"{key}.{name}" if name != WHOLE else key)
    return leaves


def remove_outputs(address: str) -> None:
    """Remove the outputs of a stage as DVC does before it runs the stage."""
    for out in declared(address).removed:
        shutil.rmtree(out) if out.is_dir() else out.unlink(missing_ok=True)
