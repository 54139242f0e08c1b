"""Image folders: one folder per person, as torchvision's ImageFolder and most of the field read them."""

from pathlib import Path

from stages import formats
from stages.common import catalogue
from stages.common.errors import InputError
from stages.formats import Faces, layouts


class Folder:
    """The faces of PATH/PERSON/FILE, or of folders below PERSON; people and files in the order of names.

    Folders without an image are left out; images that lie in no folder are skipped.
    """

    size = None

    def __init__(self, path: str | Path) -> None:
        """List the files; raises InputError when there are none, or when folders may be people or parts of a set."""
        layouts.check_set("folder", path)
        images, self.skipped = layouts.walk(path, layouts.IMAGES)
        self._files = [file for file in images if file.parent != Path(path)]
        self.skipped += len(images) - len(self._files)
        if not self._files:
            raise InputError(path, "no image in its folders", allowed=", ".join(sorted(layouts.IMAGES)))
        if unclear := layouts.unclear(path, self._files):
            problem = f"is its person the first folder under {path}, or a later one?"
            raise InputError(unclear, problem, allowed="one folder per person")
        self.identity = formats.people([file.relative_to(path).parts[0] for file in self._files])

    def encoded(self, row: int) -> bytes:
        """Return the bytes of a file."""
        return self._files[row].read_bytes()

    def source(self, row: int) -> str:
        """Return the path of a file."""
        return str(self._files[row])


def write(folder: Path, faces: Faces) -> None:
    """Write FOLDER/PERSON/NUMBER.EXT, numbers padded with zeros so that the order of names is that of people."""
    index = catalogue.index_within(faces.identity)
    widths = [len(str(int(numbers.max()))) for numbers in (faces.identity, index)]
    for row in formats.progress(range(len(index)), "write images"):
        encoded = faces.encoded(row)
        person = folder / f"{faces.identity[row]:0{widths[0]}d}"
        person.mkdir(exist_ok=True)
        (person / f"{index[row]:0{widths[1]}d}{formats.suffix(encoded, faces.source(row))}").write_bytes(encoded)
