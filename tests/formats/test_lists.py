"""The lists of IJB and TinyFace."""

from pathlib import Path

import numpy as np
import pytest
from refusal import refused
from scipy.io import savemat

from stages.formats import ijb, tinyface


def write_meta(folder: Path) -> Path:
    points = " ".join(str(i + 0.5) for i in range(10))
    (folder / "ijbb_face_tid_mid.txt").write_text("1.jpg 7 100\n2.jpg 7 101\n3.jpg 8 100\n")
    (folder / "ijbb_name_5pts_score.txt").write_text("".join(f"{i}.jpg {points} 0.{i}\n" for i in (1, 2, 3)))
    (folder / "ijbb_template_pair_label.txt").write_text("7 8 0\n7 7 1\n")
    (folder / "ijbb_1N_gallery_S1.csv").write_text("TEMPLATE_ID,SUBJECT_ID,FILENAME\n7,1,a\n8,2,b\n")
    return folder


def test_templates_media_landmarks_and_pairs_are_read(tmp_path: Path):
    images = ijb.images(write_meta(tmp_path), "ijbb")
    assert images.name.tolist() == ["1.jpg", "2.jpg", "3.jpg"] and images.template.tolist() == [7, 7, 8]
    assert images.media.tolist() == [100, 101, 100] and images.score.tolist() == [0.1, 0.2, 0.3]
    assert images.landmarks.shape == (3, 5, 2) and images.landmarks[2, 4].tolist() == [8.5, 9.5]
    a, b, same = ijb.pairs(tmp_path, "ijbb")
    assert (a.tolist(), b.tolist(), same.tolist()) == ([7, 7], [8, 7], [False, True])
    template, person = ijb.subjects(tmp_path / "ijbb_1N_gallery_S1.csv")
    assert template.tolist() == [7, 8] and person.tolist() == [1, 2]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1"])
def test_lists_of_any_encoding_and_ending_are_read(tmp_path: Path, encoding: str):
    for file in write_meta(tmp_path).iterdir():
        file.write_bytes(file.read_text().replace("2.jpg", "zoë.jpg").replace("\n", "\r\n").encode(encoding))
    images = ijb.images(tmp_path, "ijbb")
    assert images.name.tolist() == ["1.jpg", "zoë.jpg", "3.jpg"] and images.template.tolist() == [7, 7, 8]
    assert ijb.pairs(tmp_path, "ijbb")[1].tolist() == [8, 7]


@pytest.mark.parametrize(
    ("file", "text", "fields"),
    [
        ("ijbb_face_tid_mid.txt", "1.jpg 7\n", {"key": "columns", "value": 2, "allowed": "3"}),
        ("ijbb_face_tid_mid.txt", "1.jpg 7 x\n", {"allowed": "3 columns"}),
        ("ijbb_face_tid_mid.txt", f"1.jpg 7 {'x' * 9000}\n", {"allowed": "3 columns"}),
        ("ijbb_face_tid_mid.txt", "1.jpg\0 7 100\n", {"problem": "not a text"}),
        ("ijbb_name_5pts_score.txt", "1.jpg 1 2 3\n", {"key": "columns", "value": 4, "allowed": "12"}),
        ("ijbb_name_5pts_score.txt", f"1.jpg {'nan ' * 10}1\n", {"key": "column 2", "problem": "a missing value"}),
    ],
)
def test_broken_lists_are_refused_in_one_line(tmp_path: Path, file: str, text: str, fields: dict):
    (write_meta(tmp_path) / file).write_text(text)
    with refused(tmp_path / file, **fields):
        ijb.images(tmp_path, "ijbb")


def test_lists_of_different_images_are_refused(tmp_path: Path):
    (write_meta(tmp_path) / "ijbb_face_tid_mid.txt").write_text("1.jpg 7 100\n3.jpg 7 101\n2.jpg 8 100\n")
    with refused("ijbb_name_5pts_score.txt", "lists other images than", allowed="the same, in one order"):
        ijb.images(tmp_path, "ijbb")


def test_broken_pairs_and_missing_files_are_refused(tmp_path: Path):
    (write_meta(tmp_path) / "ijbb_template_pair_label.txt").write_text("7 8 2\n")
    with refused("ijbb_template_pair_label.txt", key="label", value=2, allowed="0 or 1"):
        ijb.pairs(tmp_path, "ijbb")
    with refused("ijbc_face_tid_mid.txt", "no such file"):
        ijb.images(tmp_path, "ijbc")


def write_tinyface(folder: Path) -> Path:
    for place, names in {
        "Probe": ["3_1.jpg"],
        "Gallery_Match": ["3_2.jpg", "4_1.jpg"],
        "Gallery_Distractor": ["d.jpg"],
    }.items():
        (folder / place).mkdir()
        for name in names:
            (folder / place / name).touch()
    for file, name, rows in (
        ("probe_img_ID_pairs.mat", "probe_set", [("3_1.jpg", 3)]),
        ("gallery_match_img_ID_pairs.mat", "gallery_set", [("3_2.jpg", 3), ("4_1.jpg", 4)]),
    ):
        cells = np.empty((len(rows), 2), object)
        for i, row in enumerate(rows):
            cells[i, 0], cells[i, 1] = row
        savemat(folder / file, {name: cells})
    return folder


def test_tinyface_names_and_people_are_read(tmp_path: Path):
    files, person = tinyface.probes(write_tinyface(tmp_path))
    assert files == [tmp_path / "Probe/3_1.jpg"] and person.tolist() == [3]
    files, person = tinyface.gallery(tmp_path)
    assert [file.name for file in files] == ["3_2.jpg", "4_1.jpg", "d.jpg"] and person.tolist() == [3, 4, -100]
    (tmp_path / "Gallery_Match/4_1.jpg").unlink()
    with refused("4_1.jpg", f"no such file, listed in {tmp_path / 'gallery_match_img_ID_pairs.mat'}"):
        tinyface.gallery(tmp_path)
    (tmp_path / "probe_img_ID_pairs.mat").write_bytes(b"nothing")
    with refused("probe_img_ID_pairs.mat", key="probe_set", allowed="rows of a file name and a number"):
        tinyface.probes(tmp_path)
