"""Read params.yaml into the validated dataclasses of `stages.settings`.

`settings` is the one decorator behind every section: frozen, keyword-only, strict types, unknown keys and NaN refused.
"""

import difflib
import json
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, dataclass_transform, get_args, get_type_hints

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from ruamel.yaml import YAML, YAMLError
from ruamel.yaml.composer import Composer
from ruamel.yaml.error import MarkedYAMLError

from stages.common.errors import ABSENT, InputError, shown

FILE, DATA = Path("params.yaml"), Path("data")
T = TypeVar("T")
MAX_BYTES, MAX_VALUES, MAX_DEPTH = 300_000, 20_000, 20  # of a params.yaml, its aliases resolved
MAX_IMAGES = 2**31 - 1  # of one set: their numbers are int32

Count = Annotated[int, Field(ge=1, le=10_000_000)]
Seed = Annotated[int, Field(ge=0, le=2**31 - 1)]
Spread = Annotated[float, Field(ge=0, le=2)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(ge=1e-9, le=1000)]
NonNegative = Annotated[float, Field(ge=0, le=1000)]
LearningRate = Annotated[float, Field(ge=1e-9, le=1)]
SizePx = Annotated[int, Field(ge=16, le=1024, multiple_of=16)]
NAME = "[A-Za-z0-9][A-Za-z0-9_-]{0,63}"  # in a shell, in a path and for DVC it is one word
Name = Annotated[str, Field(pattern=f"^{NAME}$")]
Text = Annotated[str, Field(min_length=1, max_length=1000)]
Recogniser = Literal["embedded", "onnx", "iresnet", "dlib"]
PACKAGED = "dlib"  # its weights come in a package: its network is `none`
NONE = "none"  # a path that leads nowhere: data/none is in git, so that DVC finds it
UNFOLDERED = (PACKAGED, NONE)  # recognisers that read no folder
A_PATH = "a path below data, such as external/sets/mine"


def _below_data(path: str) -> str:
    parts = path.split("/")
    if parts[0] in ("", "data") or not {"", ".", ".."}.isdisjoint(parts):
        raise InputError(None, value=path, allowed=A_PATH)
    return path


def _somewhere(path: str) -> str:
    if path == NONE:
        raise InputError(None, value=path, allowed=A_PATH)
    return path


PathOrNone = Annotated[Text, AfterValidator(_below_data)]
DataPath = Annotated[PathOrNone, AfterValidator(_somewhere)]


def below_data(path: str) -> Path:
    """Return where a path of params.yaml lies."""
    return DATA / path


def check_path(backend: str, path: str) -> None:
    """Raise InputError when a backend that reads files has no path, or `embedded`, which reads none, has one."""
    if (backend == "embedded") != (path == NONE):
        allowed = A_PATH if path == NONE else NONE
        raise InputError(None, f"backend is {backend}", key="path", value=path, allowed=allowed)


def check_network(recogniser: str, network: str) -> None:
    """Raise InputError when a recogniser that reads a folder has none, or one of `UNFOLDERED` has one."""
    if (recogniser in UNFOLDERED) != (network == NONE):
        allowed = A_PATH if network == NONE else NONE
        raise InputError(None, f"recogniser is {recogniser}", key="network", value=network, allowed=allowed)


@dataclass_transform(frozen_default=True, kw_only_default=True)
def settings(cls: type[T]) -> type[T]:
    """Make `cls` a section of params.yaml: a frozen dataclass that checks types, ranges and spelling."""
    config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    return dataclass(frozen=True, kw_only=True, config=config)(cls)  # pyright: ignore


@settings
class Spreads:
    """Width of the style in either domain: 0 is one portrait, 1 anything goes."""

    studio: Spread
    wild: Spread


@settings
class Network:
    """A recogniser: its backend, and the folder below data with its weights and its card; `none` of `dlib`.

    The card, card.json, says how the network wants its faces: colour order, mean, standard deviation.
    """

    recogniser: Recogniser
    network: PathOrNone

    def __post_init__(self) -> None:
        """Refuse a folder where a package brings the weights, and none elsewhere."""
        check_network(self.recogniser, self.network)

    @property
    def folder(self) -> Path:
        """Return where the network lies."""
        return below_data(self.network)


def read(file: Path | None = None) -> dict[str, Any]:
    """Return the whole of params.yaml as plain values, parsed as DVC parses it (YAML 1.2).

    Raises InputError when the file is missing, is not YAML or is not a mapping.
    """
    file = file or FILE
    if not file.is_file():
        raise InputError(file, "no such file", allowed="the root of the repository as working directory")
    if file.stat().st_size > MAX_BYTES:
        raise InputError(file, f"{file.stat().st_size} bytes", allowed=f"at most {MAX_BYTES}")
    try:
        text = (_pinned.get(file) or file.read_bytes()).decode()
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise InputError(file, "not UTF-8", key=f"line {line}", allowed="a file saved as UTF-8") from error
    try:
        values = deepcopy(_parsed(text))
    except MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise InputError(file, f"not valid YAML: {shown(error.problem)[1:-1]}", key=line) from error
    except (YAMLError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # what the parser raises over a value that does not suit its tag, such as `!!int x`
        raise InputError(file, f"not valid YAML: {shown(str(error).strip())[1:-1]}") from error
    if not isinstance(values, dict):
        raise InputError(file, f"holds a {type(values).__name__}", allowed="a mapping of sections")
    for count, (key, value, problem) in enumerate(_checked(values)):
        if problem:
            allowed = "text, numbers, true and false, lists and mappings"
            raise InputError(file, problem, key=key, value=value, allowed=allowed)
        if count > MAX_VALUES:
            raise InputError(file, f"more than {MAX_VALUES} values, aliases resolved")
    return values


_pinned: dict[Path, bytes] = {}


@contextmanager
def pinned() -> Iterator[None]:
    """Let all of the block, threads and forked processes too, read params.yaml as it is now, or was already pinned."""
    if FILE in _pinned or not FILE.is_file():
        yield
        return
    _pinned[FILE] = FILE.read_bytes()
    try:
        yield
    finally:
        del _pinned[FILE]


class _Bounded(Composer):
    """Refuse depth and number while reading, for the scanner takes the square of the one and seconds for the other."""

    def __init__(self, loader: Any) -> None:
        super().__init__(loader)
        self.warn_double_anchors = False  # the later one counts, as YAML says
        self.depth = self.count = 0

    def compose_node(self, parent: Any, index: int) -> Any:
        self.depth, self.count = self.depth + 1, self.count + 1
        if self.depth > MAX_DEPTH + 1 or self.count > MAX_VALUES:
            most = f"more than {MAX_VALUES} values, or nested deeper than {MAX_DEPTH}"
            raise MarkedYAMLError(problem=most, problem_mark=self.loader.parser.peek_event().start_mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


@lru_cache(maxsize=4)
def _parsed(text: str) -> Any:
    yaml = YAML(typ="safe", pure=True)
    yaml.Composer = _Bounded
    return yaml.load(text)  # a tenth of a second, and a stage asks for several sections


def _checked(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any, str]]:
    """Yield the key of every value, the value where an error may quote it, and its problem, empty where it is valid."""
    yield (joined(path), node if isinstance(node, str) else ABSENT, _problem(node, len(path)))
    if isinstance(node, dict):
        for key, value in node.items():
            if not isinstance(key, str) or not key.isprintable():
                yield (joined((*path, shown(key))), ABSENT, "not a key")
            yield from _checked(value, (*path, str(key)))
    elif isinstance(node, list):
        for i, value in enumerate(node):
            yield from _checked(value, (*path, str(i)))


def _problem(node: Any, depth: int) -> str:
    if depth > MAX_DEPTH:
        return f"nested deeper than {MAX_DEPTH} levels"
    if type(node) not in (dict, list, str, int, float, bool, type(None)):
        return f"of type {type(node).__name__}"
    if isinstance(node, str) and not node.isprintable():
        return "a character that cannot be printed"
    if isinstance(node, int) and abs(node) >= 2**63:
        return "an integer of more than 63 bits"
    return ""


def joined(path: Iterable[Any]) -> str:
    """Return a key's parts with dots between them, each of a length to be read."""
    return ".".join(part if len(part) <= 64 else f"{part[:61]}..." for part in map(str, path))


def check_name(key: str, name: object, file: Path | None = None) -> str:
    """Return a name that becomes part of stages, folders and commands; raises InputError when it is not safe there."""
    if not isinstance(name, str) or not re.fullmatch(NAME, name):
        allowed = "ASCII letters, digits, _ and -, the first a letter or digit, at most 64"
        raise InputError(file, "bad name", key=key, value=name, allowed=allowed)
    return name


def nearest(key: str, known: Iterable[str]) -> str:
    """Return the rest of a sentence about an unknown key: the known one that it resembles, or all of them."""
    known = list(known)
    close = difflib.get_close_matches(key[:64], known, 1)
    if close:
        return f"did you mean {close[0]}?"
    return f"allowed here: {textwrap.shorten(', '.join(known), 150, placeholder=' ...')}"


def load(section: str, cls: type[T], file: Path | None = None) -> T:
    """Return one section of params.yaml, e.g. `pack` or `variants.base`, as the dataclass `cls`.

    Raises InputError with one line that names the file, the key, the value and what is allowed.
    """
    file = file or FILE
    node: Any = read(file)
    for part in section.split("."):
        if not isinstance(node, dict) or part not in node:
            raise InputError(file, "missing", key=section)
        node = node[part]
    return check(section, node, cls, file)


def at(values: Any, key: str) -> Any:
    """Return what nested mappings hold under a dotted key, None where they have no such key."""
    for part in key.split("."):
        values = values.get(part) if isinstance(values, Mapping) else None
    return values


def check(section: str, node: Any, cls: type[T], file: Path | None = None) -> T:
    """Validate the plain value `node` of `section` against the dataclass `cls`; errors as in `load`."""
    if not isinstance(node, dict):
        raise InputError(file or FILE, key=section, value=node, allowed="a mapping of keys")
    try:
        # as JSON: there strict mode takes mappings for dataclasses and ints for floats, and converts nothing else
        return TypeAdapter(cls).validate_json(json.dumps(node))
    except ValidationError as error:
        # a mistyped key is missing as well, and what was typed says more
        first = min(error.errors(), key=lambda error: error["type"] not in UNKNOWN)
        raise _refusal(file or FILE, section, first, cls) from error


UNKNOWN = ("unexpected_keyword_argument", "extra_forbidden")


def _refusal(file: Path, section: str, error: Any, cls: type) -> InputError:
    path = [part for part in error["loc"] if part not in (cls.__name__, "[key]")]
    key = joined([section, *path])
    if error["type"] == "missing":
        return InputError(file, "missing", key=key)
    if error["type"] in UNKNOWN:
        return InputError(file, f"not a known key; {nearest(str(path[-1]), _fields(cls, path[:-1]))}", key=key)
    refusal = error["ctx"]["error"] if error["type"] == "value_error" else None  # of the section itself
    if isinstance(refusal, InputError):
        key = f"{key}.{refusal.key}" if refusal.key else key
        return InputError(file, refusal.problem, key=key, value=refusal.value, allowed=refusal.allowed)
    if refusal:
        return InputError(file, str(refusal), key=key)
    return InputError(file, f"{error['msg'][0].lower()}{error['msg'][1:]}", key=key, value=error.get("input", ABSENT))


def _fields(cls: Any, path: Iterable[Any]) -> list[str]:
    """Return the keys of the mapping at `path` within the section `cls`."""
    for part in path:
        cls = get_type_hints(cls)[part] if hasattr(cls, "__dataclass_fields__") else get_args(cls)[-1]
    return list(cls.__dataclass_fields__)
