"""Which files of a format lie where. Images are not read, so that `validate` can look before anything runs."""

import os
import re
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from stages.common import artifacts
from stages.common.errors import InputError
from stages.formats.files import Collector, Files, Names

SETS = {  # suffixes of the files that hold a training set; a folder holds one folder per person
    "folder": (),
    "rec": (".rec",),
    "lmdb": (".lmdb", ".mdb"),
    "parquet": (".parquet",),
    "arrow": (".arrow",),
    "webdataset": (".tar",),
}
IMAGES = {".bmp", ".jfif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
GIVEN = re.compile(r"wild|.*-(centred|external|groups|1n)|.*-by-.*")  # names that are made of benchmarks' names
PICKLES = (".bin", ".xz")  # a benchmark in one file
BENCHMARKS = (
    "NAME.bin, NAME.xz, or a folder with pairs.txt, NAME.npy and issame.txt, memfile/, *.arrow or *.parquet, "
    "IJB's meta/ and loose_crop/, TinyFace's Testing_Set/, or RFW's txts/ and data/"
)
TEMPLATES = ("ijb", "tinyface")  # benchmarks that are no pairs of images
PROBES = "probe_img_ID_pairs.mat"  # TinyFace's
SYSTEM = {  # what macOS, Windows, Synology, QNAP, ext4 and Python leave among one's files, beside names with a dot
    "__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "system volume information", "lost+found",
    "@eadir", "@tmp", "#recycle", "#snapshot", "@recycle", "@recently-snapshot", "__pycache__",
}  # fmt: skip
SPLITS = {"train", "training", "test", "testing", "val", "valid", "validation", "dev", "eval", "evaluation"}
SHARD = re.compile(r"[-_.]?\d+(-of-\d+)?(-[0-9a-f]{8,}[-.0-9a-z]*)?$")  # in which the names of one set's files differ
SHOWN = 4  # names in a message


class Listing(NamedTuple):
    """Files to be read, in the order of names; how many files and folders lie among them that are not."""

    files: list[Path]
    skipped: int


def hidden(name: str) -> bool:
    """Return whether a file or folder is hidden or the system's own, and so is no data."""
    return name.startswith(".") or name.lower() in SYSTEM


def walk(root: str | Path, suffixes: Collection[str]) -> Files:
    """Return the files with these suffixes, in upper or lower case, anywhere under a folder, also behind links.

    A folder that several paths lead to is read once, so links may go in circles. Raises InputError for a broken link.
    """
    files, seen = Collector(Path(root)), set()
    folders: list[Names] = [()]
    links: list[Names] = []
    while folders or links:
        names = folders.pop() if folders else links.pop(0)  # folders before links to them
        status = os.stat(files.root.joinpath(*names))
        if (status.st_dev, status.st_ino) not in seen:
            seen.add((status.st_dev, status.st_ino))
            for name, is_link in _scan(files, names, suffixes):
                (links if is_link else folders).append((*names, name))
    return files.sorted()


def _scan(files: Collector, names: Names, suffixes: Collection[str]) -> list[tuple[str, bool]]:
    """Add the files with these suffixes that lie in a folder; returns the folders in it, and which of them are links.

    Entries come one by one: a flat folder may hold millions.
    """
    folders = []
    with os.scandir(files.root.joinpath(*names)) as entries:
        for entry in entries:
            if hidden(entry.name):
                files.skipped += 1
                continue
            if entry.is_symlink():
                check_link(Path(entry.path))
            if entry.is_dir():
                folders.append((entry.name, entry.is_symlink()))
            elif os.path.splitext(entry.name)[1].lower() in suffixes and entry.is_file():
                files.add(*names, entry.name)
            else:
                files.skipped += 1
    return sorted(folders)


def check_link(path: Path) -> None:
    """Raise InputError when a path is a broken link."""
    if path.is_symlink() and not path.exists():
        raise InputError(path, f"a link to {os.readlink(path)}, which is not there")


def _data_files(path: str | Path, *suffixes: str) -> Listing:
    """Return the data files of the set at `path`: itself, or those with a suffix anywhere in it.

    Where `datasets` of Hugging Face left a list of the files, state.json, only those on it are data. Its
    `cache-*.arrow` never are. Raises InputError when there is no file, or one on the list is missing.
    """
    path = Path(path)
    if path.is_file() and path.suffix.lower() in suffixes:
        return Listing([path], 0)
    files = walk(path, suffixes) if path.is_dir() else []
    states = {folder: _state(folder) for folder in {file.parent for file in files}}
    data = [file for file in files if _is_data(file.name, states[file.parent])]
    if not data:
        raise InputError(path, f"no such file, or no {' or '.join(suffixes)} file in it", allowed="one or more")
    return Listing(data, len(files) - len(data))


def _is_data(name: str, state: set[str]) -> bool:
    if state and name.endswith(".arrow"):
        return name in state
    return not re.fullmatch(r"cache-.*\.arrow|lock\.mdb", name)


def _state(folder: Path) -> set[str]:
    """Return the names of the files that state.json lists; none where there is no such file."""
    file = folder / "state.json"
    if not file.is_file():
        return set()
    state = artifacts.read_json(file)
    entries = state.get("_data_files") if isinstance(state, dict) else None
    entries = entries if isinstance(entries, list) and entries else [None]
    names = set()
    for entry in entries:
        name = entry.get("filename") if isinstance(entry, dict) else None
        if not isinstance(name, str):
            raise InputError(file, key="_data_files", allowed="a list of file names, as `datasets` writes it")
        if not os.path.isfile(folder / name):  # nor is a name that is too long for the disk
            raise InputError(file, "no such file", key="_data_files", value=name)
        names.add(name)
    return names


def set_files(path: str | Path, *suffixes: str) -> Listing:
    """Return the data files of the one set at `path`.

    The names of its files differ only in their numbers. Raises InputError when they differ in more: sets and splits
    number their people each from 0, so several cannot be read as one.
    """
    listing = _data_files(path, *suffixes)
    example_of: dict[str, str] = {}
    for file in listing.files:
        inside = file.relative_to(path) if file != Path(path) else Path(file.name)
        stem = "/".join(SHARD.sub("", part) for part in inside.with_suffix("").parts)
        example_of.setdefault(stem, str(inside))
    if len(example_of) > 1:
        allowed = "one; make the path its folder or file, or move it into a folder of its own"
        raise InputError(path, f"several sets or splits: {_joined(example_of.values())}", allowed=allowed)
    return listing


def _joined(names: Collection[str]) -> str:
    return ", ".join([*list(names)[:SHOWN], *["..."] * (len(names) > SHOWN)])


def one_file(path: str | Path, *suffixes: str) -> Path:
    """Return the one file at or in `path` with a suffix; raises InputError when there are several or none."""
    files = _data_files(path, *suffixes).files
    if len(files) > 1:
        names = _joined([str(file.relative_to(path)) for file in files])
        raise InputError(path, f"several files: {names}", allowed=f"one {suffixes[0]}, or the path of the file itself")
    return files[0]


def check_set(backend: str, path: str | Path) -> None:
    """Raise InputError when the files of a training set are not there, or are those of several sets."""
    if backend == "folder":
        if not any(child.is_dir() and not hidden(child.name) for child in Path(path).glob("*")):
            raise InputError(path, "no folder of images in it", allowed="one folder per person")
    elif backend in SETS:
        (one_file if backend in ("rec", "lmdb") else set_files)(path, *SETS[backend])


def unclear(files: Files) -> Path | None:
    """Return an image whose first folder may be a part of the set, not a person; None without such.

    A person's images may lie in subfolders that every person has (CFP's frontal/ and profile/). But if there are more
    names of subfolders than people, or a person is called like a split, then the first folders are parts of the set.
    """
    people, subfolders = set(), set()
    for first, *others in filter(None, files.folders()):
        people.add(first)
        if others:
            subfolders.add(tuple(others))
    parts = len(subfolders) > len(people)
    for i, names in enumerate(files.folders()):
        if len(names) > 1 and (parts or names[0].lower() in SPLITS):
            return files[i]
    return None


def benchmarks(root: Path) -> dict[str, Path]:
    """Return the benchmarks that lie in a folder: files by their stem, folders by their name.

    Raises InputError when two share a name or one has a name that evaluation gives, and for a broken link.
    """
    path_of: dict[str, Path] = {}
    for path in sorted(root.iterdir()) if root.is_dir() else []:
        if hidden(path.name):
            continue
        check_link(path)
        if not (path.is_dir() or path.suffix.lower() in PICKLES):
            continue
        name = path.name if path.is_dir() else path.stem
        if name in path_of:
            both = f"{path_of[name].name} and {path.name} are both called {name}"
            raise InputError(root, both, allowed="one of them")
        if GIVEN.fullmatch(name):
            raise InputError(path, "a name that evaluation gives", key="name", value=name, allowed="another one")
        path_of[name] = path
    return path_of


def benchmark(path: Path) -> str:
    """Return the format of the benchmark at `path`; raises InputError when it is none of those that can be read."""
    if path.is_file() and path.suffix.lower() in PICKLES:
        return "bin"
    if pair_lists(path):
        return "pairs"
    if rfw_lists(path):
        return "rfw"
    if (path / f"{path.name}.npy").is_file():
        return "npy"
    if (path / "memfile").is_dir():
        return "memfile"
    if (path / "meta").is_dir() and (path / "loose_crop").is_dir():
        return "ijb"
    if (path / PROBES).is_file() or (path / "Testing_Set" / PROBES).is_file():
        return "tinyface"
    for kind in ("arrow", "parquet"):
        if path.is_dir() and walk(path, {f".{kind}"}):
            return kind
    raise InputError(path, "no benchmark in it", allowed=BENCHMARKS)


def pair_lists(path: Path) -> list[Path]:
    """Return the lists of pairs in a folder: pairs.txt, or pairs_CALFW.txt and the like."""
    return sorted(path.glob("pairs*.txt"))


def rfw_lists(path: Path) -> list[Path]:
    """Return RFW's lists of pairs in a folder, one a group."""
    return sorted(path.glob("txts/*/*_pairs.txt"))
