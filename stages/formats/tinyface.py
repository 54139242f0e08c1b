"""TinyFace's lists: gallery_match_img_ID_pairs.mat and probe_img_ID_pairs.mat beside the folders of images."""

from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import loadmat

from stages.common import artifacts
from stages.formats import layouts

DISTRACTOR = -100  # whom the images of Gallery_Distractor show: nobody that is asked for


def probes(testing_set: Path) -> tuple[list[Path], np.ndarray]:
    """Return the probe images (p,) and whom they show."""
    return _listed(testing_set / "probe_img_ID_pairs.mat", "probe_set", testing_set / "Probe")


def gallery(testing_set: Path) -> tuple[list[Path], np.ndarray]:
    """Return the gallery images (g,) and whom they show: the mates of the probes, then the distractors."""
    files, person = _listed(
        testing_set / "gallery_match_img_ID_pairs.mat", "gallery_set", testing_set / "Gallery_Match"
    )
    others = layouts.found(testing_set / "Gallery_Distractor", layouts.IMAGES).files
    return [*files, *others], np.concatenate([person, np.full(len(others), DISTRACTOR)])


def _listed(file: Path, name: str, images: Path) -> tuple[list[Path], np.ndarray]:
    """Return files and people of a list; raises ValueError when it is broken or names a file that is not there."""
    try:
        rows: Any = loadmat(str(file))[name]
        listed = [(str(row[0].item()), int(row[1].item())) for row in rows]
    except Exception as error:  # scipy's reader fails in many ways on a broken file
        raise ValueError(
            f"{file}: expected {name}, rows of a file name and a number: {artifacts.brief(error)}"
        ) from error
    files = [images / stem for stem, _ in listed]
    missing = [path for path in files if not path.is_file()]
    if missing:
        raise ValueError(f"{missing[0]}: no such file, named in {file}")
    return files, np.array([person for _, person in listed])
