"""Which files of a format lie where. Images are not read, so that `validate` can look before anything runs."""

import os
import re
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from stages.common import artifacts

SETS = {  # suffixes of the files that hold a training set; a folder holds one folder per person
    "folder": (),
    "rec": (".rec",),
    "lmdb": (".lmdb", ".mdb"),
    "parquet": (".parquet",),
    "arrow": (".arrow",),
    "webdataset": (".tar",),
}
IMAGES = {".bmp", ".jfif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
PICKLES = (".bin", ".xz")  # a benchmark in one file
BENCHMARKS = "NAME.bin, NAME.xz, or a folder with pairs.txt, NAME.npy and issame.txt, memfile/, *.arrow or *.parquet"
SYSTEM = {  # what macOS, Windows, Synology, QNAP, ext4 and Python leave among one's files, beside names with a dot
    "__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "system volume information", "lost+found",
    "@eadir", "@tmp", "#recycle", "#snapshot", "@recycle", "@recently-snapshot", "__pycache__",
}  # fmt: skip
SPLITS = {"train", "training", "test", "testing", "val", "valid", "validation", "dev", "eval", "evaluation"}
SHARD = re.compile(r"[-_.]?\d+(-of-\d+)?(-[0-9a-f]{8,}[-.0-9a-z]*)?$")  # in which the names of one set's files differ
SHOWN = 4  # names in a message


class Listing(NamedTuple):
    """Files to be read, in the order of names, and how many others lie among them, hidden ones and folders too."""

    files: list[Path]
    passed: int


def hidden(name: str) -> bool:
    """Return whether a file or folder is hidden or the system's own, so that nobody means it as data."""
    return name.startswith(".") or name.lower() in SYSTEM


def found(root: str | Path, suffixes: Collection[str]) -> Listing:
    """Return the files with these suffixes, in any case, anywhere under a folder, also behind links.

    A folder to which several ways lead counts once, so that links may go in circles. Raises ValueError naming a link
    that leads nowhere.
    """
    files, passed, seen = [], 0, set()
    folders, links = [Path(root)], []
    while folders or links:
        folder = folders.pop() if folders else links.pop(0)  # first what is really there
        about = folder.stat()
        if (about.st_dev, about.st_ino) in seen:
            continue
        seen.add((about.st_dev, about.st_ino))
        for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
            path = folder / entry.name
            if hidden(entry.name):
                passed += 1
            elif existing(path, entry.is_symlink()) and entry.is_dir():
                (links if entry.is_symlink() else folders).append(path)
            elif path.suffix.lower() in suffixes and entry.is_file():
                files.append(path)
            else:
                passed += 1
    return Listing(sorted(files), passed)


def existing(path: Path, link: bool) -> bool:
    """Return True; raises ValueError when a path that is a link leads nowhere."""
    if link and not path.exists():
        raise ValueError(f"{path}: a link to {os.readlink(path)}, which is not there")
    return True


def listed(path: str | Path, *suffixes: str) -> Listing:
    """Return the data files of the set at `path`: itself, or those with a suffix anywhere in it.

    Where `datasets` of Hugging Face left a list of them, state.json, it counts; its `cache-*.arrow` are no data. Raises
    ValueError when there is no such file, or one that is listed is missing.
    """
    path = Path(path)
    if path.is_file() and path.suffix.lower() in suffixes:
        return Listing([path], 0)
    files = found(path, suffixes).files if path.is_dir() else []
    states = {folder: _state(folder) for folder in {file.parent for file in files}}
    data = [file for file in files if _is_data(file.name, states[file.parent])]
    if not data:
        raise ValueError(f"{path}: no such file, or no {' or '.join(suffixes)} file in it; allowed: one or more")
    return Listing(data, len(files) - len(data))


def _is_data(name: str, state: set[str]) -> bool:
    if state and name.endswith(".arrow"):
        return name in state
    return not re.fullmatch(r"cache-.*\.arrow|lock\.mdb", name)


def _state(folder: Path) -> set[str]:
    file = folder / "state.json"
    if not file.is_file():
        return set()
    held = artifacts.read_json(file)
    entries = held.get("_data_files") if isinstance(held, dict) else None
    entries = entries if isinstance(entries, list) and entries else [None]
    names = [
        entry["filename"] for entry in entries if isinstance(entry, dict) and isinstance(entry.get("filename"), str)
    ]
    if len(names) < len(entries):
        raise ValueError(f"{file}: _data_files; allowed: a list of file names, as `datasets` writes it")
    missing = [name for name in names if not os.path.isfile(folder / name)]  # nor is one too long for the disk
    if missing:
        raise ValueError(f"{file}: lists {missing[0]!r:.100}, which is not there")
    return set(names)


def listing(path: str | Path, *suffixes: str) -> Listing:
    """Return the data files of the set at `path`, as `listed` does, all of one set.

    Those of one set are called alike but for their numbers. Raises ValueError when they are not: labels of several sets
    or splits are not of the same people.
    """
    given = listed(path, *suffixes)
    named: dict[str, str] = {}
    for file in given.files:
        inside = file.relative_to(path) if file != Path(path) else Path(file.name)
        named.setdefault("/".join(SHARD.sub("", part) for part in inside.with_suffix("").parts), str(inside))
    if len(named) > 1:
        raise ValueError(
            f"{path}: several sets or splits: {_some(named.values())}; allowed: one, so let the path be its folder or "
            "file, or move it into a folder of its own"
        )
    return given


def _some(names: Collection[str]) -> str:
    return ", ".join([*list(names)[:SHOWN], *["..."] * (len(names) > SHOWN)])


def one_file(path: str | Path, *suffixes: str) -> Path:
    """Return the one file at or in `path` with a suffix; raises ValueError when there are several or none."""
    found = listed(path, *suffixes).files
    if len(found) > 1:
        names = _some([str(file.relative_to(path)) for file in found])
        raise ValueError(f"{path}: {names}; allowed: one {suffixes[0]}, or the file itself")
    return found[0]


def check_set(backend: str, path: str | Path) -> None:
    """Raise ValueError when the files of a training set are not there, or are those of several."""
    if backend == "folder":
        if not any(child.is_dir() and not hidden(child.name) for child in Path(path).glob("*")):
            raise ValueError(f"{path}: no folder of images in it; allowed: one folder per person")
    elif backend in SETS:
        (one_file if backend in ("rec", "lmdb") else listing)(path, *SETS[backend])


def unclear(root: str | Path, images: Collection[Path]) -> Path | None:
    """Return an image of which it is open whether the first folder under `root` is a person; None without such.

    The images of a person may lie in folders of their own, which recur from person to person (CFP's frontal/ and
    profile/). More kinds of them than people, or a person who is called like a split, are parts of a set.
    """
    inside = {file: file.relative_to(root).parts[:-1] for file in images}
    deep = {file: parts for file, parts in inside.items() if len(parts) > 1}
    people, places = {parts[0] for parts in inside.values() if parts}, {parts[1:] for parts in deep.values()}
    parted = len(places) > len(people)
    return next((file for file, parts in deep.items() if parted or parts[0].lower() in SPLITS), None)


def benchmarks(root: Path) -> dict[str, Path]:
    """Return the benchmarks that lie in a folder: files by their stem, folders by their name.

    Raises ValueError when two share a name, or naming a link that leads nowhere.
    """
    found: dict[str, Path] = {}
    for path in sorted(root.iterdir()) if root.is_dir() else []:
        if hidden(path.name) or not existing(path, path.is_symlink()):
            continue
        if not (path.is_dir() or path.suffix.lower() in PICKLES):
            continue
        name = path.name if path.is_dir() else path.stem
        if name in found:
            raise ValueError(f"{root}: {found[name].name} and {path.name} are both called {name}; keep one of them")
        found[name] = path
    return found


def benchmark(path: Path) -> str:
    """Return the format of the benchmark at `path`; raises ValueError when it has none that is known."""
    if path.is_file() and path.suffix.lower() in PICKLES:
        return "bin"
    if pair_lists(path):
        return "pairs"
    if (path / f"{path.name}.npy").is_file():
        return "npy"
    if (path / "memfile").is_dir():
        return "memfile"
    for kind in ("arrow", "parquet"):
        if path.is_dir() and found(path, {f".{kind}"}).files:
            return kind
    raise ValueError(f"{path}: no benchmark in it; allowed: {BENCHMARKS}")


def pair_lists(path: Path) -> list[Path]:
    """Return the lists of pairs in a folder: pairs.txt, or pairs_CALFW.txt and the like."""
    return sorted(path.glob("pairs*.txt"))
