"""Put back the outputs of a stage that failed: `python -m stages.tools.restore`, called by the stage as it ends.

DVC removes a stage's outputs before it runs the command. Those that dvc.lock records come back from the DVC cache, or
from the last commit where git holds them. What exists is not touched, and without DVC nothing happens.

It runs in a process of its own: an error in it cannot hide why the stage failed. As no stage imports it, it is no
dependency of any.
"""

import logging
import os
import subprocess
from pathlib import Path

from dvc.output import Output
from dvc.repo import Repo

from stages.tools import command


def restore(address: str, root: Path) -> list[str]:
    """Bring back the missing outputs of the stage at `address`, e.g. `train@base`; returns their paths."""
    stage = Repo(str(root)).stage.load_one(name=address)  # the `dvc` that waits locks its paths
    return [out.def_path for out in stage.outs if not out.exists and (_from_cache(out) or _from_git(out, root))]


def _from_cache(out: Output) -> bool:
    in_git = not out.use_cache
    out.use_cache = True  # the run cache holds the metrics that git holds, too
    if out.changed_cache():
        return False
    if in_git:
        out.cache.cache_types = ["copy"]  # never a link into the cache
    out.checkout()
    return True


def _from_git(out: Output, root: Path) -> bool:
    """Bring back a file or a folder from the last commit, unless dvc.lock records another content."""
    command = ["git", "restore", "--source=HEAD", "--worktree", "--", out.def_path]
    if subprocess.run(command, cwd=root, capture_output=True, check=False).returncode:
        return False
    if out.hash_info and out.changed_checksum():
        out.remove()
        return False
    return True


def main(words: list[str]) -> None:
    """Restore the outputs of the stage that DVC runs, and name them in one line."""
    command.parser("restore", __doc__).parse_args(words)
    logging.disable()
    restored = restore(os.environ["DVC_STAGE"], Path.cwd())  # DVC runs a stage in the folder of its dvc.yaml
    if restored:
        print(f"restored: {', '.join(restored)}")


if __name__ == "__main__":
    command.run(main)
