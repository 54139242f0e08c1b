"""Read params.yaml into the validated dataclasses of `stages.settings`.

`settings` is the one decorator behind every section: frozen, keyword-only, strict types, unknown keys and NaN refused.
"""

import json
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, dataclass_transform

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from ruamel.yaml import YAML, YAMLError

FILE = Path("params.yaml")
T = TypeVar("T")

Count = Annotated[int, Field(ge=1, le=10_000_000)]
Seed = Annotated[int, Field(ge=0, le=2**31 - 1)]
Spread = Annotated[float, Field(ge=0, le=2)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
SizePx = Annotated[int, Field(ge=16, le=1024, multiple_of=16)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]
Text = Annotated[str, Field(min_length=1)]
Recogniser = Literal["embedded", "onnx", "iresnet"]


@dataclass_transform(frozen_default=True, kw_only_default=True)
def settings(cls: type[T]) -> type[T]:
    """Make `cls` a section of params.yaml: a frozen dataclass that checks types, ranges and spelling."""
    config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    return dataclass(frozen=True, kw_only=True, config=config)(cls)  # pyright: ignore


@settings
class Network:
    """A recogniser: its backend, its file of weights, and its card.

    The card is a JSON file that says how the network wants its faces: colour order, mean, standard deviation.
    """

    recogniser: Recogniser
    weights: Text
    card: Text


def check_name(name: str) -> str:
    """Return `name` if it may name a set, a variant or a network; raises ValueError otherwise."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", name):
        raise ValueError(f"{name[:80]!r}: a bad name; allowed: at most 64 letters, digits, - and _, not - or _ first")
    return name


def read(file: Path | None = None) -> dict[str, Any]:
    """Return the whole of params.yaml as plain values, parsed as DVC parses it (YAML 1.2).

    Raises ValueError when the file is missing, is not YAML or is not a mapping.
    """
    file = file or FILE
    if not file.is_file():
        raise ValueError(f"{file}: no such file; run from the repository's root")
    try:
        values = deepcopy(_parsed(_pinned.get(file) or file.read_text()))
    except YAMLError as error:
        raise ValueError(f"{file}: not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise ValueError(f"{file}: expected a mapping of sections, got {type(values).__name__}")
    return values


_pinned: dict[Path, str] = {}


@contextmanager
def pinned() -> Iterator[None]:
    """Let all of the block, threads and forked processes too, read params.yaml as it is now, or was already pinned."""
    if FILE in _pinned or not FILE.is_file():
        yield
        return
    _pinned[FILE] = FILE.read_text()
    try:
        yield
    finally:
        del _pinned[FILE]


@lru_cache(maxsize=4)
def _parsed(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)  # a tenth of a second, and a stage asks for several sections


def load(section: str, cls: type[T], file: Path | None = None) -> T:
    """Return one section of params.yaml, e.g. `pack` or `variants.base`, as the dataclass `cls`.

    Raises ValueError with one line that names the file, the key, the value and what is allowed.
    """
    file = file or FILE
    node: Any = read(file)
    for part in section.split("."):
        if not isinstance(node, dict) or part not in node:
            raise ValueError(f"{file}: {section} is missing")
        node = node[part]
    return check(section, node, cls, file)


def check(section: str, node: Any, cls: type[T], file: Path | None = None) -> T:
    """Validate the plain value `node` of `section` against the dataclass `cls`; errors as in `load`."""
    if not isinstance(node, dict):
        raise ValueError(f"{file or FILE}: {section}: expected a mapping of keys, got {node!r}")
    try:
        # as JSON: there strict mode takes mappings for dataclasses and ints for floats, and converts nothing else
        return TypeAdapter(cls).validate_json(json.dumps(node, default=str))
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{file or FILE}: {_line(section, first, cls)}") from error


def _line(section: str, error: Any, cls: type) -> str:
    key = ".".join([section, *(str(part) for part in error["loc"] if part != cls.__name__)])
    value = error.get("input")
    match error["type"]:
        case "missing":
            return f"{key} is missing"
        case "unexpected_keyword_argument" | "extra_forbidden":
            known = f"; allowed here: {', '.join(cls.__dataclass_fields__)}" if len(error["loc"]) == 1 else ""
            return f"{key} is not a known key{known}"
        case "value_error":
            return f"{section}: {error['ctx']['error']}"
    shown = "NaN" if isinstance(value, float) and math.isnan(value) else repr(value)
    return f"{key} = {shown}: {error['msg'][0].lower()}{error['msg'][1:]}"
