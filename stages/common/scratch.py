"""The scratch folder: where stages keep their work until DVC has recorded it, one run of a stage at a time.

    .scratch/train@base.lock        held while the stage runs
    .scratch/train@base/KEY/        finished parts of a run; a stage that was killed resumes there
    .scratch/train@base/KEY.kept/   the outputs of a run that ended well, hard links that cost no space, until dvc.lock
                                    records them: DVC may be killed before it has hashed and stored them

KEY is the digest of the stage's state. FACESPHERE_SCRATCH names a folder to use instead of `.scratch`.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from ruamel.yaml import YAML

from stages.common import artifacts, pipeline
from stages.common.errors import InputError

KEY = "FACESPHERE_KEY"  # environment variable by which the launcher tells all ranks the key
LOCK = Path("dvc.lock")
PATIENCE_S = 5.0
ABOUT = "about.json"


def root() -> Path:
    """Return the folder that holds all scratch; the environment names it, never params.yaml."""
    return Path(os.environ.get("FACESPHERE_SCRATCH", ".scratch"))


def parts(address: str, key: str) -> Path:
    """Return the folder of the finished parts of a run of the stage at `address`."""
    return root() / address / key


@contextmanager
def exclusive(address: str) -> Iterator[None]:
    """Keep other runs of the stage at `address` out of the block; raises ValueError when one does not end soon."""
    file = root() / f"{address}.lock"
    file.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + PATIENCE_S  # a run whose dvc was killed needs a moment to notice
    while not (lock := _locked(file)):
        if time.monotonic() > deadline:
            raise InputError(file, f"another run of {address} is under way; wait for it or stop it")
        time.sleep(0.1)
    with lock:
        try:
            yield
        finally:
            with contextlib.suppress(OSError):  # not empty: it holds kept outputs
                (root() / address).rmdir()
            file.unlink(missing_ok=True)


def _locked(file: Path) -> IO[str] | None:
    lock = file.open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(lock.fileno()).st_ino == file.stat().st_ino:
            return lock
    except (BlockingIOError, FileNotFoundError):  # another run holds the lock, or has just removed its file
        pass
    except OSError as error:
        lock.close()
        raise OSError(error.errno, f"no lock on this disk ({error.strerror})", str(file)) from error
    lock.close()
    return None


def keep(address: str, key: str) -> None:
    """Keep the outputs of a run that ended well until dvc.lock records them, where hard links are possible."""
    target = _kept(address, key)
    with contextlib.suppress(OSError), artifacts.output_folder(target) as fresh:
        for out in filter(Path.exists, pipeline.declared(address).outs):
            (fresh / out).parent.mkdir(parents=True, exist_ok=True)
            if out.is_dir():
                shutil.copytree(out, fresh / out, copy_function=os.link)
            else:
                os.link(out, fresh / out)
        artifacts.write_json(fresh / ABOUT, {"recorded": _recorded(address)})


def put_back(address: str, key: str) -> bool:
    """Bring back kept outputs that DVC has not recorded; returns whether there were any."""
    kept = _kept(address, key)
    if not kept.exists() or _is_recorded(address, kept):
        return False
    for out in pipeline.declared(address).outs:
        if (kept / out).is_dir():
            with artifacts.output_folder(out) as fresh:
                shutil.copytree(kept / out, fresh, copy_function=shutil.copyfile, dirs_exist_ok=True)
        elif (kept / out).exists():
            with artifacts.output_file(out) as fresh:
                shutil.copyfile(kept / out, fresh)
    return True


def sweep(address: str, key: str) -> None:
    """Remove the leftovers of earlier runs: other keys of this stage, recorded and half-written outputs."""
    own = {parts(address, key), _kept(address, key)}
    for folder in (root() / address).glob("*"):
        if folder not in own:
            shutil.rmtree(folder)
    for kept in root().glob("*/*.kept"):
        if _is_recorded(kept.parent.name, kept):
            shutil.rmtree(kept)
            with contextlib.suppress(OSError):
                kept.parent.rmdir()
    for parent in {out.parent for out in pipeline.declared(address).outs}:
        for path in parent.glob(f"{artifacts.TEMPORARY}*"):
            if not _alive(path.name.removeprefix(artifacts.TEMPORARY).partition("-")[0]):
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def _alive(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        pass
    return True


def _kept(address: str, key: str) -> Path:
    return root() / address / f"{key}.kept"


def _recorded(address: str) -> dict[str, str]:
    """Return the MD5 of every output of a stage in dvc.lock, by path; parses that stage's entry alone."""
    text = LOCK.read_text() if LOCK.exists() else ""
    entry = re.search(rf"^  {re.escape(address)}:\n((?:    .*\n)+)", text, re.MULTILINE)
    stage: dict[str, Any] = YAML(typ="safe").load(entry[1]) if entry else {}
    return {out["path"]: out["md5"] for out in stage.get("outs", [])}


def _is_recorded(address: str, kept: Path) -> bool:
    """Say whether DVC has recorded kept outputs: its entry is new since they were kept, or holds their hashes."""
    recorded = _recorded(address)
    return recorded != artifacts.read_json(kept / ABOUT)["recorded"] or (
        bool(recorded) and all((kept / path).exists() and _md5(kept / path) == md5 for path, md5 in recorded.items())
    )


def _md5(path: Path) -> str:
    """Return the hash by which dvc.lock knows a file, or a folder: that of the list of its files' hashes."""
    if path.is_file():
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "md5").hexdigest()
    files = sorted((file.relative_to(path).as_posix(), file) for file in path.rglob("*") if file.is_file())
    listing = json.dumps([{"md5": _md5(file), "relpath": name} for name, file in files])
    return f"{hashlib.md5(listing.encode()).hexdigest()}.dir"
