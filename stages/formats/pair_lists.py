"""Lists of pairs beside image files: LFW's pairs.txt and its kin, CALFW's and CPLFW's, paths with a label.

LFW: a first line `folds pairs`, then `NAME 1 2` for one person and `NAME 1 OTHER 2` for two, half of each fold genuine;
its development lists begin with the number of genuine pairs alone, RFW's with the first pair. CALFW, CPLFW: two lines
`FILE label` a pair, label 0 for two people, all genuine pairs first. Others: `FILE FILE label`. Images lie below
images/ or `aligned images/`, or, where neither is there, below the list's folder.
"""

import os
import re
import unicodedata
from collections import defaultdict
from dataclasses import dataclass
from itertools import groupby, product
from pathlib import Path, PurePosixPath

import numpy as np

from stages import formats
from stages.common import artifacts, tables
from stages.formats import benchmark_pairs, layouts, text
from stages.formats.benchmark_pairs import Benchmark

ROOTS = ("images", "aligned images")  # CALFW's and CPLFW's are called the latter
FILE = rf"\S.*?(?:{'|'.join(map(re.escape, sorted(layouts.IMAGES)))})"
ONE_FILE = re.compile(rf"({FILE})\s+([0-9]{{1,9}})", re.IGNORECASE)
TWO_FILES = re.compile(rf"({FILE})\s+({FILE})\s+([01])", re.IGNORECASE)
LONGEST = 2000  # characters of a line
NUMBER = re.compile("[0-9]{1,9}")
LAST_NUMBER = re.compile(r"(.+)_([0-9]{1,9})")
Line = tuple[int, str]  # its number and what it says


@dataclass(frozen=True)
class End:
    """One image of a pair.

    people, number: whom it shows, by its folder and by its file's name; stems: names that its file may have, the
    likeliest first; folder: what the list says of where it lies.
    """

    people: tuple[str, str]
    number: int
    stems: tuple[str, ...]
    folder: PurePosixPath


@dataclass(frozen=True)
class Pair:
    """Two images, whether a list says that they show one person, and the number of its line."""

    a: End
    b: End
    same: bool
    line: int


def read(folder: Path) -> Benchmark:
    """Return the benchmark in a folder; raises ValueError naming file, line and what is allowed."""
    lists = layouts.pair_lists(folder)
    if len(lists) > 1:
        raise ValueError(f"{folder}: {', '.join(f.name for f in lists)}; allowed: one list of pairs")
    file = lists[0]
    header, pairs = _listed(file)
    listed = [(end, f"{file}, line {pair.line}") for pair in pairs for end in (pair.a, pair.b)]
    shared = len(os.path.commonprefix([end.folder.parts for end, _ in listed]))
    images = Images(next((folder / name for name in ROOTS if (folder / name).is_dir()), folder), shared)
    files = [images.find(end, source) for end, source in listed]
    same = np.array([pair.same for pair in pairs])
    fold = _folds(file, header, same)
    shown = {path: end for path, (end, _) in zip(files, listed, strict=True)}
    number_of = {path: row for row, path in enumerate(shown)}
    a, b = np.array([number_of[path] for path in files]).reshape(-1, 2).T
    content = benchmark_pairs.numbered(path.read_bytes() for path in shown)
    benchmark_pairs.check_selves(file, content[a], content[b], same)
    rows, ends = list(shown), list(shown.values())
    for names in zip(*(end.people for end in ends), strict=True):
        identity = formats.people(names)
        if np.array_equal(identity[a] == identity[b], same):  # else the names are not of people
            index = np.array([end.number for end in ends])
            pairs = tables.pairs(a, b, same, fold)
            return Benchmark(lambda row: rows[row].read_bytes(), lambda row: str(rows[row]), identity, index, pairs)
    return benchmark_pairs.by_content(file, len(files), lambda i: files[i].read_bytes(), lambda i: str(files[i]), same)


def _listed(file: Path) -> tuple[list[int], list[Pair]]:
    """Return the numbers with which a list begins, at most two, and its pairs."""
    lines = [(number, line.strip()) for number, line in enumerate(text.read(file).splitlines(), 1) if line.strip()]
    if long := next((number for number, line in lines if len(line) > LONGEST), None):
        raise ValueError(f"{file}: line {long}: longer than {LONGEST} characters; allowed: a pair")
    header: list[int] = []
    while lines and len(words := lines[0][1].split()) <= 2 - len(header) and all(map(NUMBER.fullmatch, words)):
        header += map(int, words)
        del lines[0]
    if not lines:
        raise ValueError(f"{file}: line 1: no pair; allowed: folds and half of the pairs a fold, then pairs")
    first = lines[0][1]
    if TWO_FILES.fullmatch(first):
        return header, [_two_files(file, line) for line in lines]
    return header, _two_lines(file, lines) if ONE_FILE.fullmatch(first) else [_lfw(file, line) for line in lines]


def _folds(file: Path, header: list[int], same: np.ndarray) -> np.ndarray:
    match header:
        case [folds, each] if len(same) == 2 * folds * each:
            fold = np.repeat(np.arange(folds), 2 * each)
            mixed = all(0 < same[fold == i].sum() < 2 * each for i in range(folds))
            return fold if mixed and folds > 1 else benchmark_pairs.folds(same, str(file))
        case [] | [_] if not header or len(same) in (header[0], 2 * header[0]):
            return benchmark_pairs.folds(same, str(file))
    raise ValueError(
        f"{file}: line 1 says '{' '.join(map(str, header))}'; "
        f"allowed: folds, then half of the {len(same)} pairs / folds, or half of the pairs alone"
    )


def _lfw(file: Path, line: Line) -> Pair:
    number, said = line
    cells = [cell.strip() for cell in said.split("\t")]
    cells = cells if len(cells) in (3, 4) else _by_numbers(said.split())
    match cells:
        case [person, a, b] if NUMBER.fullmatch(a) and NUMBER.fullmatch(b):
            return Pair(_end(person, a), _end(person, b), True, number)
        case [person, a, other, b] if NUMBER.fullmatch(a) and NUMBER.fullmatch(b) and person != other:
            return Pair(_end(person, a), _end(other, b), False, number)
    raise ValueError(f"{file}: line {number}: {artifacts.brief(said)!r}; allowed: NAME 1 2, or NAME 1 OTHER 2")


def _by_numbers(words: list[str]) -> list[str]:
    """Return a line's cells where only blanks part them: a number, or all words of a name between two numbers."""
    groups = [(number, list(group)) for number, group in groupby(words, lambda word: bool(NUMBER.fullmatch(word)))]
    return [cell for number, group in groups for cell in (group if number else [" ".join(group)])]


def _end(person: str, number: str) -> End:
    stems = (f"{person}_{int(number):0{width}d}" for width in (4, 1, 2, 3, 5, 6, 7, 8))
    return End((person, person), int(number), tuple(dict.fromkeys(stems)), PurePosixPath())


def _two_files(file: Path, line: Line) -> Pair:
    number, said = line
    found = TWO_FILES.fullmatch(said)
    if not found:
        raise ValueError(f"{file}: line {number}: {artifacts.brief(said)!r}; allowed: FILE FILE, then 1 or 0")
    return Pair(_of_file(found[1]), _of_file(found[2]), found[3] == "1", number)


def _two_lines(file: Path, lines: list[Line]) -> list[Pair]:
    found = [(number, ONE_FILE.fullmatch(said), said) for number, said in lines]
    for number, match, said in found:
        if not match:
            raise ValueError(
                f"{file}: line {number}: {artifacts.brief(said)!r}; allowed: NAME_1.jpg, then a label, 0 or above"
            )
    ends = [(number, _of_file(match[1]), int(match[2])) for number, match, _ in found if match]
    for (number, _, label), (_, _, other) in zip(ends[::2], [*ends[1::2], (0, None, -1)], strict=False):
        if label != other:
            raise ValueError(f"{file}: line {number}: two lines with one label make a pair")
    return [Pair(a, b, label > 0, number) for (number, a, label), (_, b, _) in zip(ends[::2], ends[1::2], strict=True)]


def _of_file(listed: str) -> End:
    path = PurePosixPath(listed.replace("\\", "/"))
    name, number = found.groups() if (found := LAST_NUMBER.fullmatch(path.stem)) else (path.stem, "0")
    return End((str(path.parent), name), int(number), (path.stem,), path.parent)


class Images:
    """The image files below a folder, by what a list calls them."""

    def __init__(self, root: Path, shared: int) -> None:
        """List the files. All paths of the list begin with `shared` folders, which may be elsewhere."""
        self.root, self._starts = root, dict.fromkeys((0, shared))
        self._named: dict[str, list[Path]] = defaultdict(list)  # by name, and by folder and name
        self._numbered: dict[str, list[Path]] = defaultdict(list)  # by NAME_0001: facenet's NAME_0001_0
        for path in layouts.found(root, layouts.IMAGES).files:
            folder, stem = _composed(path.parent.name), _composed(path.stem)
            last = LAST_NUMBER.fullmatch(stem)
            for index, name in ((self._named, stem), (self._numbered, last[1] if last else "")):
                index[name].append(path)
                index[f"{folder}/{name}"].append(path)

    def find(self, end: End, source: str) -> Path:
        """Return the file of an end that `source` names; raises ValueError when there is none, or more than one."""
        for index, start in product((self._named, self._numbered), self._starts):
            folder = [_composed(name) for name in end.folder.parts[start:]]
            for stems in (end.stems[:1], end.stems[1:]):
                keys = ["/".join([*folder[-1:], _composed(stem)]) for stem in stems]
                found = _placed([path for key in keys for path in index.get(key, [])], folder, end.people[1])
                if len(found) > 1:
                    raise ValueError(f"{source}: {found[0]} or {found[1]}; allowed: one image of that name")
                if found:
                    return found[0]
        folder = end.folder if end.folder.name else end.people[1]
        named = artifacts.brief(f"{folder}/{end.stems[0]}")
        raise ValueError(f"{self.root}/{named}.png (or .jpg): no such file, named in {source}")


def _placed(files: list[Path], folder: list[str], person: str) -> list[Path]:
    """Return the files that lie in such a folder, those in one of the person's name if there are any."""

    def tail(file: Path) -> list[str]:
        return [_composed(part) for part in file.parent.parts][-len(folder) :]

    there = [file for file in files if not folder or tail(file) == folder]
    return [file for file in there if _composed(file.parent.name) == _composed(person)] or there


def _composed(name: str) -> str:
    """Return a name with its accents as one letter each, as lists are typed; macOS keeps them apart in file names."""
    return unicodedata.normalize("NFC", name)
