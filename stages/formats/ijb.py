"""The lists of IJB-B and IJB-C as insightface releases them, in meta/ beside loose_crop/.

A template is a set of images of one person; images of one media id (a video) count as one. NAME is ijbb or ijbc.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import csv

from stages.common import artifacts
from stages.common.errors import InputError
from stages.formats import text

LANDMARKS = 5


@dataclass(frozen=True)
class Images:
    """Image files (n,): name, template and media id, five landmarks (n, 5, 2) in pixels, score of the detector."""

    name: np.ndarray
    template: np.ndarray
    media: np.ndarray
    landmarks: np.ndarray
    score: np.ndarray


def images(meta: Path, name: str) -> Images:
    """Return the images of NAME_face_tid_mid.txt, with the landmarks and scores of NAME_name_5pts_score.txt.

    Raises InputError when a line has other columns, or the two files do not list the same images in one order.
    """
    ids_file, points_file = meta / f"{name}_face_tid_mid.txt", meta / f"{name}_name_5pts_score.txt"
    names, template, media = _columns(ids_file, [pa.string(), pa.int64(), pa.int64()])
    point_names, *points, score = _columns(points_file, [pa.string(), *[pa.float64()] * (2 * LANDMARKS + 1)])
    if len(names) != len(point_names) or (names != point_names).any():
        raise InputError(points_file, f"lists other images than {ids_file}", allowed="the same, in one order")
    return Images(names, template, media, np.stack(points, 1).reshape(-1, LANDMARKS, 2), score)


def pairs(meta: Path, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the two templates and whether they show one person, (p,) each, of NAME_template_pair_label.txt."""
    file = meta / f"{name}_template_pair_label.txt"
    a, b, label = _columns(file, [pa.int64()] * 3)
    wrong = label[~np.isin(label, (0, 1))]
    if len(wrong):
        raise InputError(file, key="label", value=int(wrong[0]), allowed="0 or 1")
    return a, b, label == 1


def subjects(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return templates and their people (t,) of a gallery or probe list such as ijbc_1N_gallery_G1.csv."""
    template, person = _columns(file, [pa.int64()] * 2, ",", skip=1, more=True)
    return template, person


def _columns(file: Path, kinds: list[Any], delimiter: str = " ", skip: int = 0, more: bool = False) -> list[np.ndarray]:
    names = [f"f{i}" for i in range(len(kinds))]
    content = pa.py_buffer(text.read(file).encode())
    try:
        table = csv.read_csv(
            content,
            csv.ReadOptions(autogenerate_column_names=True, skip_rows=skip),
            csv.ParseOptions(delimiter=delimiter),
            csv.ConvertOptions(column_types=dict(zip(names, kinds, strict=True))),
        )
    except pa.ArrowInvalid as error:
        raise InputError(file, artifacts.brief(error), allowed=f"{len(kinds)} columns") from error
    if table.num_columns < len(kinds) or (table.num_columns > len(kinds) and not more):
        raise InputError(file, key="columns", value=table.num_columns, allowed=f"{len(kinds)}")
    for i, name in enumerate(names, 1):
        if table[name].null_count:
            raise InputError(file, "a missing value", key=f"column {i}", allowed="a value in every line")
    return [table[name].to_numpy() for name in names]
