"""WebDataset tars: of each sample an image and a `.cls` with its label, under one name."""

import io
import tarfile
from pathlib import Path

from stages import formats
from stages.formats import Faces, folder, layouts

ROWS_PER_FILE = 10_000
END = bytes(2 * tarfile.BLOCKSIZE)  # how a tar ends


class WebDataset:
    """The faces of uncompressed tars, in the order of names; images are read by their place in the file."""

    size = None

    def __init__(self, path: str | Path) -> None:
        """Go through the tars once for places and labels; raises ValueError when one is broken or lacks a label."""
        self._at: list[tuple[Path, tarfile.TarInfo]] = []
        labels = []
        for file in layouts.files(path, ".tar"):
            _check_end(file)
            try:
                with tarfile.open(file, "r:") as tar:
                    members = {member.name: member for member in tar if member.isfile()}
                    for name, member in members.items():
                        if Path(name).suffix.lower() in folder.SUFFIXES:
                            self._at.append((file, member))
                            labels.append(_label(tar, members, file, name))
            except tarfile.TarError as error:
                raise ValueError(f"{file}: not a readable tar: {error}") from error
        if not labels:
            raise ValueError(f"{path}: no image in its tars; allowed: {', '.join(sorted(folder.SUFFIXES))}")
        self.identity = formats.people(labels)

    def encoded(self, row: int) -> bytes:
        """Return the encoded image of a row."""
        file, member = self._at[row]
        with file.open("rb") as stream:
            stream.seek(member.offset_data)
            return stream.read(member.size)

    def source(self, row: int) -> str:
        """Return the tar and the member of a row."""
        return f"{self._at[row][0]}: {self._at[row][1].name}"


def _check_end(file: Path) -> None:
    with file.open("rb") as stream:
        stream.seek(max(0, file.stat().st_size - len(END)))
        if stream.read() != END:
            raise ValueError(f"{file}: truncated, or not a plain tar")


def _label(tar: tarfile.TarFile, members: dict[str, tarfile.TarInfo], file: Path, name: str) -> int:
    member = members.get(str(Path(name).with_suffix(".cls")))
    stream = tar.extractfile(member) if member else None
    text = stream.read().decode(errors="replace").strip() if stream else ""
    if not text.isdecimal():
        raise ValueError(f"{file}: {name}: label {text!r}; allowed: a whole number in a .cls of the same name")
    return int(text)


def write(target: Path, faces: Faces) -> None:
    """Write 000000.tar and so on, without times or owners, so that equal faces give equal bytes."""
    rows = len(faces.identity)
    for number, start in enumerate(formats.progress(range(0, rows, ROWS_PER_FILE), "write tars")):
        with tarfile.open(target / f"{number:06d}.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
            for row in range(start, min(start + ROWS_PER_FILE, rows)):
                encoded = faces.encoded(row)
                _add(tar, f"{row:08d}{formats.suffix(encoded, faces.source(row))}", encoded)
                _add(tar, f"{row:08d}.cls", str(faces.identity[row]).encode())


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))
