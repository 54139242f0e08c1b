"""IJB-B and IJB-C as insightface releases them: lists in meta/ beside the pictures in loose_crop/.

A template is a set of images of one person; images of one media id (a video) count as one. NAME is ijbb or ijbc.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import csv
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from stages.common import artifacts, tables
from stages.common.errors import InputError
from stages.common.templates import COMPARISONS, PROBES, SEARCHES
from stages.formats import template_sets, text
from stages.formats.template_sets import TemplateSet

LANDMARKS = 5
IDS = "_face_tid_mid.txt"  # NAME is what stands before it
GALLERIES = ("G1", "G2", "S1", "S2")  # IJB-C has the first two, IJB-B the others


@dataclass(frozen=True)
class Images:
    """Image files (n,): name, template and media id, five landmarks (n, 5, 2) in pixels, score of the detector."""

    name: np.ndarray
    template: np.ndarray
    media: np.ndarray
    landmarks: np.ndarray
    score: np.ndarray


def read(folder: Path) -> TemplateSet:
    """Return the benchmark in a folder: comparisons 1:1, and the searches 1:N where their lists are there.

    Raises InputError for a broken list, an image that is missing, and a template that a list names and no image is of.
    """
    meta = folder / "meta"
    names = [file.name.removesuffix(IDS) for file in sorted(meta.glob(f"*{IDS}"))]
    if len(names) != 1:
        raise InputError(meta, key="lists", value=", ".join(names) or "none", allowed=f"one NAME{IDS}")
    (name,) = names
    listed = images(meta, name)
    files = template_sets.existing((folder / "loose_crop" / str(file) for file in listed.name), meta / f"{name}{IDS}")
    known, template = np.unique(listed.template, return_inverse=True)
    number = template_sets.numbers(known)
    a, b, same = pairs(meta, name)
    file = meta / f"{name}_template_pair_label.txt"
    a, b = number(a, file, "first template"), number(b, file, "second template")
    lists = {name: (number(ids, file, "template"), person) for name, file, (ids, person) in _lists(meta, name)}
    person = _people(len(known), a[same], b[same], list(lists.values()))
    found = {"templates": tables.of(COMPARISONS, {"a": a, "b": b, "same": same})}
    if lists:
        columns = [(place, np.full(len(place), key)) for key, (place, _) in lists.items()]
        places, keys = (np.concatenate(column) for column in zip(*columns, strict=True))
        found["open_set"] = tables.of(SEARCHES, {"template": places, "list": keys})
    about = template_sets.of_images(template, np.unique(listed.media, return_inverse=True)[1], listed.score)
    return TemplateSet(files, person[template], about, found, listed.landmarks)


def _lists(meta: Path, name: str) -> list[tuple[str, Path, tuple[np.ndarray, np.ndarray]]]:
    """Return the galleries and the probes that are listed, each with its file, templates and people (t,)."""
    files = {gallery: meta / f"{name}_1N_gallery_{gallery}.csv" for gallery in GALLERIES}
    files = {gallery: file for gallery, file in files.items() if file.is_file()}
    if files:
        files[PROBES] = meta / f"{name}_1N_probe_mixed.csv"
    found = [(key, file, subjects(file)) for key, file in files.items()]
    person_of: dict[int, int] = {}
    for _, file, (template, person) in found:
        for own, who in zip(template.tolist(), person.tolist(), strict=True):
            if (known := person_of.setdefault(own, who)) != who:
                raise InputError(file, key=f"subject of template {own}", value=who, allowed=f"{known}, as before")
    return found


def _people(templates: int, a: np.ndarray, b: np.ndarray, lists: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Return the person (t,) of each template: those of one subject, and those that genuine pairs link, are one."""
    subject = np.unique(np.concatenate([person for _, person in lists]) if lists else [], return_inverse=True)[1]
    place = np.concatenate([place for place, _ in lists]) if lists else np.empty(0, np.int64)
    rows, columns = np.concatenate([a, place]), np.concatenate([b, templates + subject])
    nodes = templates + len(np.unique(subject))
    links = coo_array((np.ones(len(rows), bool), (rows, columns)), (nodes, nodes))
    return connected_components(links, directed=False)[1][:templates].astype(np.int64)


def images(meta: Path, name: str) -> Images:
    """Return the images of NAME_face_tid_mid.txt, with the landmarks and scores of NAME_name_5pts_score.txt.

    Raises InputError when a line has other columns, or the two files do not list the same images in one order.
    """
    ids_file, points_file = meta / f"{name}_face_tid_mid.txt", meta / f"{name}_name_5pts_score.txt"
    names, template, media = _columns(ids_file, [pa.string(), pa.int64(), pa.int64()])
    point_names, *points, score = _columns(points_file, [pa.string(), *[pa.float64()] * (2 * LANDMARKS + 1)])
    if len(names) != len(point_names) or (names != point_names).any():
        raise InputError(points_file, f"lists other images than {ids_file}", allowed="the same, in one order")
    numbers = np.stack([*points, score], 1)
    if not (finite := np.isfinite(numbers).all(axis=1)).all():
        line = f"line {finite.argmin() + 1}"
        raise InputError(points_file, key=line, value=numbers[finite.argmin()].tolist(), allowed="finite numbers")
    return Images(names, template, media, numbers[:, :-1].reshape(-1, LANDMARKS, 2), score)


def pairs(meta: Path, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the two templates and whether they show one person, (p,) each, of NAME_template_pair_label.txt."""
    file = meta / f"{name}_template_pair_label.txt"
    a, b, label = _columns(file, [pa.int64()] * 3)
    wrong = label[~np.isin(label, (0, 1))]
    if len(wrong):
        raise InputError(file, key="label", value=int(wrong[0]), allowed="0 or 1")
    return a, b, label == 1


def subjects(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return templates and their people (t,) of a gallery or probe list such as ijbc_1N_gallery_G1.csv.

    A template counts once: some lists have a line for every image. The first line is a header.
    """
    if text.read(file)[:1].isdigit():
        raise InputError(file, "no header", key="line 1", allowed="names of columns")
    template, person = _columns(file, [pa.int64()] * 2, ",", skip=1, more=True)
    rows = np.unique(np.stack([template, person], 1), axis=0)
    return rows[:, 0], rows[:, 1]


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
