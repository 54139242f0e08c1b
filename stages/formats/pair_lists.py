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
from itertools import groupby, product, zip_longest
from pathlib import Path, PurePosixPath

import numpy as np

from stages import formats
from stages.common import artifacts, tables
from stages.common.errors import InputError
from stages.formats import benchmark_pairs, layouts, text
from stages.formats.benchmark_pairs import Benchmark

ROOTS = ("images", "aligned images")  # CALFW's and CPLFW's are called the latter
FILE = rf"\S.*?(?:{'|'.join(map(re.escape, sorted(layouts.IMAGES)))})"
ONE_FILE = re.compile(rf"({FILE})\s+([0-9]{{1,9}})", re.IGNORECASE)
TWO_FILES = re.compile(rf"({FILE})\s+({FILE})\s+([01])", re.IGNORECASE)
LONGEST = 2000  # characters of a line
NUMBER = re.compile("[0-9]{1,9}")
LAST_NUMBER = re.compile(r"(.+)_([0-9]{1,9})")
Line = tuple[int, str]  # its number and its text


@dataclass(frozen=True)
class ImageName:
    """How a list names one image of a pair.

    people: whom it shows, once by its folder and once by its file's name; number: which of the person's images. stems:
    names that its file may have, the likeliest first; folder: where it lies, as far as the list tells.
    """

    people: tuple[str, str]
    number: int
    stems: tuple[str, ...]
    folder: PurePosixPath


@dataclass(frozen=True)
class Pair:
    """Two images, whether a list says that they show one person, and the number of its line."""

    a: ImageName
    b: ImageName
    same: bool
    line: int


def read(folder: Path) -> Benchmark:
    """Return the benchmark in a folder; raises InputError with file, line and what is allowed."""
    lists = layouts.pair_lists(folder)
    if len(lists) > 1:
        raise InputError(folder, f"several lists: {', '.join(f.name for f in lists)}", allowed="one list of pairs")
    return read_list(lists[0], next((folder / root for root in ROOTS if (folder / root).is_dir()), folder))


def read_list(file: Path, root: Path) -> Benchmark:
    """Return the pairs of a list of images below a folder; raises InputError with file, line and what is allowed."""
    header, pairs = _parsed(file)
    names = [name for pair in pairs for name in (pair.a, pair.b)]
    shared = len(os.path.commonprefix([name.folder.parts for name in names]))
    images = Images(root, shared)
    files = [images.find(name, file, pair.line) for pair in pairs for name in (pair.a, pair.b)]
    same = np.array([pair.same for pair in pairs])
    fold = _folds(file, header, same)
    name_of = dict(zip(files, names, strict=True))
    rows = list(name_of)
    row_of = {path: row for row, path in enumerate(rows)}
    a, b = np.array([row_of[path] for path in files]).reshape(-1, 2).T
    content = benchmark_pairs.numbered(path.read_bytes() for path in rows)
    benchmark_pairs.check_two_images(file, content[a], content[b], same)
    for people in zip(*(name.people for name in name_of.values()), strict=True):
        identity = formats.people(people)
        if np.array_equal(identity[a] == identity[b], same):  # else folders, or files, are not called by people
            index = np.array([name.number for name in name_of.values()])
            pairs = tables.pairs(a, b, same, fold)
            return Benchmark(lambda row: rows[row].read_bytes(), lambda row: str(rows[row]), identity, index, pairs)
    return benchmark_pairs.by_content(file, len(files), lambda i: files[i].read_bytes(), lambda i: str(files[i]), same)


def _parsed(file: Path) -> tuple[list[int], list[Pair]]:
    """Return the numbers that a list begins with, at most two, and its pairs."""
    lines = [(number, line.strip()) for number, line in enumerate(text.read(file).splitlines(), 1) if line.strip()]
    if long := next((number for number, line in lines if len(line) > LONGEST), None):
        raise InputError(file, f"longer than {LONGEST} characters", key=f"line {long}", allowed="a pair")
    header: list[int] = []
    while lines and len(words := lines[0][1].split()) <= 2 - len(header) and all(map(NUMBER.fullmatch, words)):
        header += map(int, words)
        del lines[0]
    if not lines:
        allowed = "the number of folds and half of the pairs of each, then the pairs"
        raise InputError(file, "no pair", key="line 1", allowed=allowed)
    first = lines[0][1]
    if TWO_FILES.fullmatch(first):
        return header, [_two_files(file, line) for line in lines]
    return header, _two_lines(file, lines) if ONE_FILE.fullmatch(first) else [_lfw(file, line) for line in lines]


def _folds(file: Path, header: list[int], same: np.ndarray) -> np.ndarray:
    match header:
        case [folds, half] if len(same) == 2 * folds * half:
            fold = np.repeat(np.arange(folds), 2 * half)
            mixed = all(0 < same[fold == i].sum() < 2 * half for i in range(folds))
            return fold if mixed and folds > 1 else benchmark_pairs.folds(same, file)
        case [] | [_] if not header or len(same) in (header[0], 2 * header[0]):
            return benchmark_pairs.folds(same, file)
    allowed = f"the number of folds and half of the pairs of each, or half of the {len(same)} pairs alone"
    raise InputError(file, key="line 1", value=" ".join(map(str, header)), allowed=allowed)


def _lfw(file: Path, line: Line) -> Pair:
    number, content = line
    cells = [cell.strip() for cell in content.split("\t")]
    cells = cells if len(cells) in (3, 4) else _by_numbers(content.split())
    match cells:
        case [person, i, j] if NUMBER.fullmatch(i) and NUMBER.fullmatch(j):
            return Pair(_of_person(person, i), _of_person(person, j), True, number)
        case [person, i, impostor, j] if NUMBER.fullmatch(i) and NUMBER.fullmatch(j) and person != impostor:
            return Pair(_of_person(person, i), _of_person(impostor, j), False, number)
    raise InputError(file, key=f"line {number}", value=content, allowed="NAME 1 2, or NAME 1 OTHER 2")


def _by_numbers(words: list[str]) -> list[str]:
    """Return the cells of a line that only blanks divide: each number, and all words of a name between two numbers."""
    groups = [(number, list(group)) for number, group in groupby(words, lambda word: bool(NUMBER.fullmatch(word)))]
    return [cell for number, group in groups for cell in (group if number else [" ".join(group)])]


def _of_person(person: str, number: str) -> ImageName:
    stems = (f"{person}_{int(number):0{width}d}" for width in (4, 1, 2, 3, 5, 6, 7, 8))
    return ImageName((person, person), int(number), tuple(dict.fromkeys(stems)), PurePosixPath())


def _two_files(file: Path, line: Line) -> Pair:
    number, content = line
    match = TWO_FILES.fullmatch(content)
    if not match:
        raise InputError(file, key=f"line {number}", value=content, allowed="FILE FILE, then 1 or 0")
    return Pair(_of_path(match[1]), _of_path(match[2]), match[3] == "1", number)


def _two_lines(file: Path, lines: list[Line]) -> list[Pair]:
    images = []
    for number, content in lines:
        match = ONE_FILE.fullmatch(content)
        if not match:
            allowed = "NAME_1.jpg, then a label, 0 or above"
            raise InputError(file, key=f"line {number}", value=content, allowed=allowed)
        images.append((number, _of_path(match[1]), int(match[2])))
    pairs = []
    for (number, a, label), (_, b, label_b) in zip_longest(images[::2], images[1::2], fillvalue=(0, None, -1)):
        if a is None or b is None or label != label_b:
            problem = "the next line is missing, or has another label"
            raise InputError(file, problem, key=f"line {number}", allowed="two lines of one label for each pair")
        pairs.append(Pair(a, b, label > 0, number))
    return pairs


def _of_path(text: str) -> ImageName:
    path = PurePosixPath(text.replace("\\", "/"))
    match = LAST_NUMBER.fullmatch(path.stem)
    name, number = match.groups() if match else (path.stem, "0")
    return ImageName((str(path.parent), name), int(number), (path.stem,), path.parent)


class Images:
    """The image files below a folder, by the names that a list has for them."""

    def __init__(self, root: Path, shared: int) -> None:
        """List the files. All paths in the list begin with the same `shared` folders, which may lie elsewhere."""
        self.root, self._starts = root, dict.fromkeys((0, shared))
        self._named: dict[str, list[Path]] = defaultdict(list)  # by name, and by folder and name
        self._numbered: dict[str, list[Path]] = defaultdict(list)  # by NAME_0001: facenet's NAME_0001_0
        for path in layouts.walk(root, layouts.IMAGES):
            folder, stem = _composed(path.parent.name), _composed(path.stem)
            last = LAST_NUMBER.fullmatch(stem)
            for index, name in ((self._named, stem), (self._numbered, last[1] if last else "")):
                index[name].append(path)
                index[f"{folder}/{name}"].append(path)

    def find(self, name: ImageName, file: Path, line: int) -> Path:
        """Return the file of an image that a line of a list names; raises InputError for none, or more than one."""
        for index, start in product((self._named, self._numbered), self._starts):
            folder = [_composed(part) for part in name.folder.parts[start:]]
            for stems in (name.stems[:1], name.stems[1:]):
                keys = ["/".join([*folder[-1:], _composed(stem)]) for stem in stems]
                images = _in_folder([path for key in keys for path in index.get(key, [])], folder, name.people[1])
                if len(images) > 1:
                    problem = f"{images[0]} or {images[1]}"
                    raise InputError(file, problem, key=f"line {line}", allowed="one image of that name")
                if images:
                    return images[0]
        folder = name.folder if name.folder.name else name.people[1]
        image = artifacts.brief(f"{folder}/{name.stems[0]}")
        raise InputError(file, f"no image {image}.png (or .jpg) in {self.root}", key=f"line {line}")


def _in_folder(files: list[Path], folder: list[str], person: str) -> list[Path]:
    """Return the files in such a folder; if some of them lie in a folder of the person's name, only those."""

    def tail(file: Path) -> list[str]:
        return [_composed(part) for part in file.parent.parts][-len(folder) :]

    inside = [file for file in files if not folder or tail(file) == folder]
    return [file for file in inside if _composed(file.parent.name) == _composed(person)] or inside


def _composed(name: str) -> str:
    """Return a name with accented letters as one character each, as in lists; macOS splits them in file names."""
    return unicodedata.normalize("NFC", name)
