"""Remove broken files, so that DVC fetches or makes them again: `python -m stages.tools.verify`.

DVC trusts the names of the objects in its cache, and the size and time of the files in data/. When a disk or a remote
breaks one, DVC still checks it out and says that everything is up to date. This command reads every object of the
cache, and every file of the outputs that DVC takes for unchanged, and removes those whose MD5 is wrong.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from dvc.output import Output
from dvc.repo import Repo

from stages.tools import command


def broken_objects(cache: Path) -> Iterator[Path]:
    """Yield the objects of a cache whose content does not have the MD5 that is their name."""
    for file in cache.glob("??/*"):
        if _md5(file) != file.parent.name + file.name.removesuffix(".dir"):
            yield file


def broken_files(out: Output, cache: Path) -> Iterator[Path]:
    """Yield the files of an output that are not as dvc.lock records them."""
    assert out.hash_info and out.hash_info.value
    recorded = out.hash_info.value
    files = {".": recorded}
    if recorded.endswith(".dir"):
        listing = json.loads((cache / recorded[:2] / recorded[2:]).read_text())
        files = {entry["relpath"]: entry["md5"] for entry in listing}
    yield from (file for name, md5 in files.items() if _md5(file := Path(out.fs_path, name)) != md5)


def _md5(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "md5").hexdigest()


def main(words: list[str]) -> str:
    """Remove broken files; returns a line that counts them and says what to do."""
    command.parser("verify", __doc__).parse_args(words)
    repo = Repo()
    cache = Path(repo.cache.local.path)
    objects = list(broken_objects(cache))
    for file in filter(lambda file: file.suffix == ".dir", objects):  # a folder without its listing counts as changed
        file.unlink()
    outs = (out for out in repo.index.outs if out.use_cache and not out.stage.is_data_source and not out.status())
    broken = {*objects, *(file for out in outs for file in broken_files(out, cache))}
    for file in broken:
        file.unlink(missing_ok=True)
    return f"removed {len(broken)} broken files" + ("; `dvc pull` or `dvc repro` brings them back" if broken else "")


if __name__ == "__main__":
    command.run(main)
