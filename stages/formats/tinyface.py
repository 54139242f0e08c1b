"""TinyFace's lists: gallery_match_img_ID_pairs.mat and probe_img_ID_pairs.mat beside the folders of images."""

from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import loadmat

from stages.common import artifacts
from stages.common.errors import InputError
from stages.formats import layouts

DISTRACTOR = -100  # the person of all images of Gallery_Distractor: nobody whom a probe shows


def probes(testing_set: Path) -> tuple[list[Path], np.ndarray]:
    """Return the probe images (p,) and whom they show."""
    return _read_list(testing_set / "probe_img_ID_pairs.mat", "probe_set", testing_set / "Probe")


def gallery(testing_set: Path) -> tuple[list[Path], np.ndarray]:
    """Return the gallery images (g,) and whom they show: the mates of the probes, then the distractors."""
    files, person = _read_list(
        testing_set / "gallery_match_img_ID_pairs.mat", "gallery_set", testing_set / "Gallery_Match"
    )
    distractors = layouts.walk(testing_set / "Gallery_Distractor", layouts.IMAGES)
    return [*files, *distractors], np.concatenate([person, np.full(len(distractors), DISTRACTOR)])


def _read_list(file: Path, name: str, folder: Path) -> tuple[list[Path], np.ndarray]:
    """Return files and people of a list; raises InputError when it is broken or names a file that is not there."""
    try:
        rows: Any = loadmat(str(file))[name]
        entries = [(str(row[0].item()), int(row[1].item())) for row in rows]
    except Exception as error:  # scipy's reader fails in many ways on a broken file
        problem, allowed = artifacts.brief(error), "rows of a file name and a number"
        raise InputError(file, problem, key=name, allowed=allowed) from error
    files = [folder / entry for entry, _ in entries]
    missing = [path for path in files if not path.is_file()]
    if missing:
        raise InputError(missing[0], f"no such file, listed in {file}")
    return files, np.array([person for _, person in entries])
