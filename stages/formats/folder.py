"""Image folders: one folder per person, as torchvision's ImageFolder and most of the field read them."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from stages import formats
from stages.common import catalogue
from stages.common.errors import InputError
from stages.formats import Faces, layouts
from stages.formats.files import Names


class Folder:
    """The faces of PATH/PERSON/FILE, or of folders below PERSON; people and files in the order of names.

    Folders without an image are left out; images that lie in no folder are skipped.
    """

    size = None

    def __init__(self, path: str | Path) -> None:
        """List the files; raises InputError when there are none, or when folders may be people or parts of a set."""
        layouts.check_set("folder", path)
        images = layouts.walk(path, layouts.IMAGES)
        person = np.fromiter(_numbered(names[:1] for names in images.folders()), np.int64, len(images))
        inside = np.flatnonzero(person >= 0)
        self._files, self.skipped = images.take(inside), images.skipped + len(images) - len(inside)
        if not len(inside):
            raise InputError(path, "no image in its folders", allowed=", ".join(sorted(layouts.IMAGES)))
        if unclear := layouts.unclear(self._files):
            problem = f"is its person the first folder under {path}, or a later one?"
            raise InputError(unclear, problem, allowed="one folder per person")
        self.identity = person[inside]

    def encoded(self, row: int) -> bytes:
        """Return the bytes of a file."""
        return self._files[row].read_bytes()

    def source(self, row: int) -> str:
        """Return the path of a file."""
        return str(self._files[row])


def _numbered(people: Iterable[Names]) -> Iterator[int]:
    """Return the number of each person, counted from 0 as new ones come in the order of names; -1 for nobody."""
    number_of: dict[Names, int] = {(): -1}
    return (number_of.setdefault(person, len(number_of) - 1) for person in people)


def write(folder: Path, faces: Faces) -> None:
    """Write FOLDER/PERSON/NUMBER.EXT, numbers padded with zeros so that the order of names is that of people."""
    index = catalogue.index_within(faces.identity)
    widths = [len(str(int(numbers.max()))) for numbers in (faces.identity, index)]
    for row in formats.progress(range(len(index)), "write images"):
        encoded = faces.encoded(row)
        person = folder / f"{faces.identity[row]:0{widths[0]}d}"
        person.mkdir(exist_ok=True)
        (person / f"{index[row]:0{widths[1]}d}{formats.suffix(encoded, faces.source(row))}").write_bytes(encoded)
