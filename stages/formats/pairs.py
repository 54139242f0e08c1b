"""Lists of pairs beside image files: LFW's pairs.txt, RFW's without a header, CALFW's and CPLFW's, two lines a pair.

LFW: a first line `folds pairs`, then `NAME 1 2` for one person and `NAME 1 OTHER 2` for two, half of each fold genuine.
CALFW, CPLFW: `FILE label` twice, label 0 for two people, all genuine pairs first. Images lie in images/ or in
`aligned images/`, by person or all together.
"""

import re
from pathlib import Path

import numpy as np

from stages.formats import layouts, paired
from stages.formats.paired import Benchmark
from stages.protocols.pairs import table

ROOTS = ("images", "aligned images")  # CALFW's and CPLFW's are called the latter
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".pgm", ".webp")
End = tuple[str, int, str]  # person, number and file name without suffix of one image


def read(folder: Path) -> Benchmark:
    """Return the benchmark in a folder; raises ValueError naming file, line and what is allowed."""
    lists = layouts.pair_lists(folder)
    if len(lists) > 1:
        raise ValueError(f"{folder}: {', '.join(f.name for f in lists)}; allowed: one list of pairs")
    file = lists[0]
    lines = [(number, line.split()) for number, line in enumerate(file.read_text().splitlines(), 1) if line.strip()]
    if not lines:
        raise ValueError(f"{file}: line 1: empty; allowed: folds and half of the pairs a fold, or pairs")
    two_lines = len(lines[0][1]) == 2 and not lines[0][1][0].isdecimal()
    found, same, fold = _two_lines(file, lines) if two_lines else _lfw(file, lines)
    row_of: dict[End, int] = {}
    a, b = np.array([[row_of.setdefault(end, len(row_of)) for end in pair] for pair in found]).T
    roots = [folder / name for name in ROOTS if (folder / name).is_dir()] or [folder]
    files = [_image(roots, file, end) for end in row_of]
    people = {person: i for i, person in enumerate(sorted({person for person, _, _ in row_of}))}
    return Benchmark(
        lambda row: files[row].read_bytes(),
        lambda row: str(files[row]),
        np.array([people[person] for person, _, _ in row_of]),
        np.array([number for _, number, _ in row_of]),
        table(a, b, same, fold),
    )


def _lfw(file: Path, lines: list[tuple[int, list[str]]]) -> tuple[list[tuple[End, End]], np.ndarray, np.ndarray]:
    number, header = lines[0]
    folds, each = header if len(header) == 2 else ("", "")
    listed = len(header) in (3, 4)  # RFW has no header
    pairs = lines if listed else lines[1:]
    if not listed and not (folds.isdecimal() and each.isdecimal() and len(pairs) == 2 * int(folds) * int(each)):
        raise ValueError(
            f"{file}: line {number} says {' '.join(header)!r}; "
            f"allowed: folds, then half of the {len(pairs)} pairs / folds"
        )
    ends = [_ends(file, i, line) for i, line in pairs]
    same = np.array([len(line) == 3 for _, line in pairs])
    return ends, same, paired.folds(same, str(file)) if listed else np.repeat(np.arange(int(folds)), 2 * int(each))


def _ends(file: Path, number: int, line: list[str]) -> tuple[End, End]:
    match line:
        case [person, a, b] if a.isdecimal() and b.isdecimal():
            return _end(person, a), _end(person, b)
        case [person, a, other, b] if a.isdecimal() and b.isdecimal():
            return _end(person, a), _end(other, b)
    raise ValueError(f"{file}: line {number}: {' '.join(line)!r}; allowed: NAME 1 2, or NAME 1 OTHER 2")


def _end(person: str, number: str) -> End:
    return person, int(number), f"{person}_{int(number):04d}"


def _two_lines(file: Path, lines: list[tuple[int, list[str]]]) -> tuple[list[tuple[End, End]], np.ndarray, np.ndarray]:
    ends, labels = [], []
    for number, line in lines:
        name = re.fullmatch(r"(.+)_(\d+)\.\w+", line[0])
        if len(line) != 2 or not line[1].isdecimal() or name is None:
            raise ValueError(
                f"{file}: line {number}: {' '.join(line)!r}; allowed: NAME_1.jpg, then a label, 0 or above"
            )
        ends.append((name[1], int(name[2]), Path(line[0]).stem))
        labels.append(line[1])
    if len(lines) % 2 or labels[::2] != labels[1::2]:
        odd = next((i for i in range(0, len(labels) - 1, 2) if labels[i] != labels[i + 1]), len(labels) - 1)
        raise ValueError(f"{file}: line {lines[odd][0]}: two lines with one label make a pair")
    same = np.array([int(label) > 0 for label in labels[::2]])
    return list(zip(ends[::2], ends[1::2], strict=True)), same, paired.folds(same, str(file))


def _image(roots: list[Path], file: Path, end: End) -> Path:
    person, _, stem = end
    for place in [path for root in roots for path in (root / person, root)]:
        for suffix in SUFFIXES:
            if (place / f"{stem}{suffix}").is_file():
                return place / f"{stem}{suffix}"
    raise ValueError(f"{roots[0]}/{person}/{stem}.png (or .jpg): no such file, named in {file}")
