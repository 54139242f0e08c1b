"""Bring your own files into the copy in which DVC runs a queued or `--temp` experiment.

Such a copy lies below .dvc/tmp/exps and holds what git and DVC track. All else under data/external is linked into it,
so that an experiment is scored on the same benchmarks there as in place; DVC records what it has read. It is the first
command of stage `validate`, and does nothing anywhere else.
"""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from stages.common import stage

EXTERNAL = Path("data/external")
COPIES = Path(".dvc/tmp/exps")


def missing(source: Path, target: Path) -> Iterator[Path]:
    """Yield the files of `source`, by their paths in it, that neither `target` nor a .dvc file there has."""
    for here, folders, files in os.walk(source):
        there = target / Path(here).relative_to(source)
        tracked = {file.stem for file in there.glob("*.dvc")}
        folders[:] = set(folders) - tracked
        names = (name for name in files if name not in tracked and not (there / name).exists())
        yield from (Path(here, name).relative_to(source) for name in names)


def carry(source: Path, target: Path) -> int:
    """Link what `target` is missing of `source`, or copy it to another disk; returns the number of files."""
    files = list(missing(source, target))
    for file in files:
        (target / file).parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source / file, target / file)
        except OSError:
            shutil.copyfile(source / file, target / file)
    return len(files)


def main() -> None:
    """Carry files where this is such a copy, and say so in one line."""
    if {"-h", "--help"} & set(sys.argv[1:]):
        print((__doc__ or "").strip())
        return
    repository = Path(os.environ.get("DVC_ROOT", ".")).resolve()  # the user's, not the copy
    if not Path.cwd().is_relative_to(repository / COPIES):
        return
    try:
        count = carry(repository / EXTERNAL, EXTERNAL)
    except OSError as error:
        sys.exit(stage.error_line(error).rstrip())
    print(f"carried {count} files of {EXTERNAL} that git and DVC do not track")


if __name__ == "__main__":
    main()
