"""TinyFace: gallery_match_img_ID_pairs.mat and probe_img_ID_pairs.mat beside the folders of images.

Each image is a template of its own. The release has crops of small faces; those that AdaFace aligned lie in the same
folders.
"""

from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import loadmat

from stages.common import artifacts, tables
from stages.common.errors import InputError
from stages.common.templates import PROBES, SEARCHES
from stages.formats import layouts, template_sets
from stages.formats.template_sets import TemplateSet

FOLDER = "Testing_Set"  # of the release; its content may lie in the benchmark's own folder, too
DISTRACTOR = -100  # the person of all images of Gallery_Distractor: nobody whom a probe shows


def read(folder: Path) -> TemplateSet:
    """Return the benchmark in a folder; raises InputError for a broken list and an image that is missing."""
    root = folder / FOLDER if (folder / FOLDER).is_dir() else folder
    (probe_files, who), (gallery_files, enrolled) = probes(root), gallery(root)
    files, number = [*probe_files, *gallery_files], np.arange(len(who) + len(enrolled))
    of = np.repeat([PROBES, "gallery"], [len(who), len(enrolled)])
    found = {"closed_set": tables.of(SEARCHES, {"template": number, "list": of})}
    images = template_sets.of_images(number, number, np.ones(len(files)))
    return TemplateSet(files, np.concatenate([who, enrolled]), images, found)


def probes(testing_set: Path) -> tuple[list[Path], np.ndarray]:
    """Return the probe images (p,) and whom they show."""
    return _read_list(testing_set / "probe_img_ID_pairs.mat", "probe_set", testing_set / "Probe")


def gallery(testing_set: Path) -> tuple[list[Path], np.ndarray]:
    """Return the gallery images (g,) and whom they show: the mates of the probes, then the distractors."""
    files, person = _read_list(
        testing_set / "gallery_match_img_ID_pairs.mat", "gallery_set", testing_set / "Gallery_Match"
    )
    distractors = layouts.walk(testing_set / "Gallery_Distractor", layouts.IMAGES)
    if not distractors:  # mates alone would be found much more easily
        raise InputError(testing_set / "Gallery_Distractor", "no image", allowed=", ".join(sorted(layouts.IMAGES)))
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
