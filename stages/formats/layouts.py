"""Which files of a format lie where. Paths only, nothing is read, so that `validate` can look before anything runs."""

from pathlib import Path

SETS = {  # suffixes of the files that hold a training set; a folder holds one folder per person
    "folder": (),
    "rec": (".rec",),
    "lmdb": (".lmdb", ".mdb"),
    "parquet": (".parquet",),
    "arrow": (".arrow",),
    "webdataset": (".tar",),
}
PICKLES = (".bin", ".xz")  # a benchmark in one file
BENCHMARKS = "NAME.bin, NAME.xz, or a folder with pairs.txt, NAME.npy and issame.txt, memfile/, *.arrow or *.parquet"


def files(path: str | Path, *suffixes: str) -> list[Path]:
    """Return `path` itself, or the files with these suffixes in it or one folder below, in the order of names.

    Raises ValueError when there is none.
    """
    path = Path(path)
    if path.is_file() and path.suffix in suffixes:
        return [path]
    found = [f for pattern in ("*", "*/*") for f in sorted(path.glob(pattern)) if f.suffix in suffixes and f.is_file()]
    if not found:
        raise ValueError(f"{path}: no such file, or no {' or '.join(suffixes)} file in it; allowed: one or more")
    return found


def check_set(backend: str, path: str | Path) -> None:
    """Raise ValueError when the files of a training set are not there."""
    if backend == "folder":
        if not any(child.is_dir() for child in Path(path).glob("*")):
            raise ValueError(f"{path}: no folder of images in it; allowed: one folder per person")
    elif backend in SETS:
        found = files(path, *SETS[backend])
        if backend == "rec":
            record_file(found)


def record_file(found: list[Path]) -> Path:
    """Return the one .rec file among `found`; raises ValueError when there are several."""
    if len(found) > 1:
        raise ValueError(
            f"{found[0].parent}: {', '.join(f.name for f in found)}; allowed: one .rec, or the file itself"
        )
    return found[0]


def benchmarks(root: Path) -> dict[str, Path]:
    """Return the benchmarks that lie in a folder: files by their stem, folders by their name.

    Raises ValueError when two share a name.
    """
    found: dict[str, Path] = {}
    for path in sorted(root.iterdir()) if root.is_dir() else []:
        if path.name.startswith(".") or not (path.is_dir() or path.suffix in PICKLES):
            continue
        name = path.name if path.is_dir() else path.stem
        if name in found:
            raise ValueError(f"{root}: {found[name].name} and {path.name} are both called {name}; keep one of them")
        found[name] = path
    return found


def benchmark(path: Path) -> str:
    """Return the format of the benchmark at `path`; raises ValueError when it has none that is known."""
    if path.is_file() and path.suffix in PICKLES:
        return "bin"
    if pair_lists(path):
        return "pairs"
    if (path / f"{path.name}.npy").is_file():
        return "npy"
    if (path / "memfile").is_dir():
        return "memfile"
    for kind in ("arrow", "parquet"):
        if any(path.rglob(f"*.{kind}")):
            return kind
    raise ValueError(f"{path}: no benchmark in it; allowed: {BENCHMARKS}")


def pair_lists(path: Path) -> list[Path]:
    """Return the lists of pairs in a folder: pairs.txt, or pairs_CALFW.txt and the like."""
    return sorted(path.glob("pairs*.txt"))
