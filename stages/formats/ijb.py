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
from stages.formats import text

LANDMARKS = 5


@dataclass(frozen=True)
class Images:
    """Image files by row (n,): names, template and media ids, five landmarks (n, 5, 2) in pixels, detector's score."""

    name: np.ndarray
    template: np.ndarray
    media: np.ndarray
    landmarks: np.ndarray
    score: np.ndarray


def images(meta: Path, name: str) -> Images:
    """Return what NAME_face_tid_mid.txt and NAME_name_5pts_score.txt say of every image.

    Raises ValueError when a line has other columns, or the two files do not list the same images in one order.
    """
    file, points = meta / f"{name}_face_tid_mid.txt", meta / f"{name}_name_5pts_score.txt"
    who, template, media = _columns(file, [pa.string(), pa.int64(), pa.int64()])
    named, *numbers = _columns(points, [pa.string(), *[pa.float64()] * (2 * LANDMARKS + 1)])
    if len(who) != len(named) or (who != named).any():
        raise ValueError(f"{points}: lists other images than {file}; allowed: the same, in one order")
    return Images(who, template, media, np.stack(numbers[:-1], 1).reshape(-1, LANDMARKS, 2), numbers[-1])


def pairs(meta: Path, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the two templates and whether they show one person, (p,) each, of NAME_template_pair_label.txt."""
    file = meta / f"{name}_template_pair_label.txt"
    one, other, label = _columns(file, [pa.int64()] * 3)
    if not np.isin(label, (0, 1)).all():
        raise ValueError(f"{file}: label {label[~np.isin(label, (0, 1))][0]}; allowed: 0 or 1")
    return one, other, label == 1


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
        raise ValueError(f"{file}: expected {len(kinds)} columns: {artifacts.brief(error)}") from error
    if table.num_columns < len(kinds) or (table.num_columns > len(kinds) and not more):
        raise ValueError(f"{file}: {table.num_columns} columns; allowed: {len(kinds)}")
    empty = [i for i, name in enumerate(names, 1) if table[name].null_count]
    if empty:
        raise ValueError(f"{file}: a missing value in column {empty[0]}; allowed: none")
    return [table[name].to_numpy() for name in names]
