"""The user's own sets in LFW's layout: `images/NAME/NAME_0001.EXT` and `pairs.txt`."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from stages.common import images, photographs
from stages.protocols import pairs
from stages.settings.benchmarks import Crop

ROOT = Path("data/external/benchmarks")


@dataclass(frozen=True)
class External:
    """A set on disk: its image files, whose person and number they are (b,), and its pairs."""

    files: list[Path]
    identity: np.ndarray
    index: np.ndarray
    pairs: pa.Table


def found() -> list[str]:
    """Return the names of the sets that lie under data/external/benchmarks."""
    return sorted(folder.name for folder in ROOT.iterdir() if folder.is_dir()) if ROOT.is_dir() else []


def read(name: str) -> External:
    """Read a set's pairs and find their images; raises ValueError naming file, line and what is allowed."""
    file = ROOT / name / "pairs.txt"
    if not file.is_file():
        raise ValueError(f"{file}: no such file; a set needs images/NAME/NAME_0001.png and pairs.txt as LFW has them")
    header, *lines = [line.split() for line in file.read_text().splitlines() if line.strip()] or [[]]
    folds, each = header if len(header) == 2 else ("", "")
    if not (folds.isdigit() and each.isdigit() and len(lines) == 2 * int(folds) * int(each)):
        raise ValueError(
            f"{file}: line 1 says {' '.join(header)!r}; allowed: folds, then half of the {len(lines)} pairs / folds"
        )
    rows: dict[tuple[str, int], int] = {}
    ends = [[rows.setdefault(end, len(rows)) for end in _ends(file, i, line)] for i, line in enumerate(lines, 2)]
    a, b = np.array(ends).T
    same = np.array([len(line) == 3 for line in lines])
    fold = np.repeat(np.arange(int(folds)), 2 * int(each))
    people = {person: i for i, person in enumerate(sorted({person for person, _ in rows}))}
    return External(
        [_image(name, person, number) for person, number in rows],
        np.array([people[person] for person, _ in rows]),
        np.array([number for _, number in rows]),
        pairs.table(a, b, same, fold),
    )


def faces(files: list[Path], crop: Crop | None, frame_px: int, size_px: int) -> np.ndarray:
    """Return the crops of image files, uint8 (b, size_px, size_px, 3) RGB."""
    return np.concatenate(
        [images.resize(cut(images.decode(f.read_bytes(), str(f)), crop, frame_px)[None], size_px) for f in files]
    )


def cut(photograph: np.ndarray, crop: Crop | None, frame_px: int) -> np.ndarray:
    """Return a square of a photograph (h, w, 3): the crop, or without one the frame about an aligned face."""
    if crop is None:
        return photographs.framed(photograph, frame_px)
    return photographs.square(photograph, crop.side_px, crop.x_px, crop.y_px)


def _ends(file: Path, number: int, line: list[str]) -> list[tuple[str, int]]:
    match line:
        case [person, a, b] if a.isdigit() and b.isdigit():
            return [(person, int(a)), (person, int(b))]
        case [person, a, other, b] if a.isdigit() and b.isdigit():
            return [(person, int(a)), (other, int(b))]
    raise ValueError(f"{file}: line {number}: {' '.join(line)!r}; allowed: NAME 1 2, or NAME 1 OTHER 2")


def _image(name: str, person: str, number: int) -> Path:
    folder = ROOT / name / "images" / person
    for suffix in (".png", ".jpg", ".jpeg", ".bmp", ".pgm"):
        file = folder / f"{person}_{number:04d}{suffix}"
        if file.is_file():
            return file
    raise ValueError(f"{folder}/{person}_{number:04d}.png (or .jpg): no such file, named in {ROOT / name}/pairs.txt")
