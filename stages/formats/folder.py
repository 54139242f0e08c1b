"""Image folders: one folder per person, as torchvision's ImageFolder and most of the field read them."""

from pathlib import Path

import numpy as np

from stages import formats
from stages.formats import Faces, layouts

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp"}


class Folder:
    """The faces of PATH/PERSON/FILE; people and files in the order of names, folders without an image left out."""

    size = None

    def __init__(self, path: str | Path) -> None:
        """List the files; raises ValueError when there are none."""
        layouts.check_set("folder", path)
        people = sorted(p for p in Path(path).iterdir() if p.is_dir() and not p.name.startswith("."))
        listed = [files for person in people if (files := image_files(person))]
        if not listed:
            raise ValueError(f"{path}: no image in its folders; allowed: {', '.join(sorted(SUFFIXES))}")
        self._files = [file for files in listed for file in files]
        self.identity = np.repeat(np.arange(len(listed)), [len(files) for files in listed])

    def encoded(self, row: int) -> bytes:
        """Return the bytes of a file."""
        return self._files[row].read_bytes()

    def source(self, row: int) -> str:
        """Return the path of a file."""
        return str(self._files[row])


def image_files(folder: Path) -> list[Path]:
    """Return the image files of a folder in the order of names."""
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES)


def write(folder: Path, faces: Faces) -> None:
    """Write FOLDER/PERSON/NUMBER.EXT, numbers padded with zeros so that the order of names is that of people."""
    index = formats.index_within(faces.identity)
    widths = [len(str(int(numbers.max()))) for numbers in (faces.identity, index)]
    for row in formats.progress(range(len(index)), "write images"):
        encoded = faces.encoded(row)
        person = folder / f"{faces.identity[row]:0{widths[0]}d}"
        person.mkdir(exist_ok=True)
        (person / f"{index[row]:0{widths[1]}d}{formats.suffix(encoded, faces.source(row))}").write_bytes(encoded)
