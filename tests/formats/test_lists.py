"""The lists of IJB and TinyFace."""

from pathlib import Path

import numpy as np
import pytest
from refusal import refused
from scipy.io import savemat

from stages.formats import ijb, layouts, tinyface


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
        (
            "ijbb_name_5pts_score.txt",
            "".join(f"{i}.jpg {'1 ' * 10}{s}\n" for i, s in ((1, 1), (2, "inf"), (3, 1))),
            {"key": "line 2", "allowed": "finite numbers"},
        ),
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


def write_release(root: Path) -> Path:
    """Write a release in which G1 enrols subject 1 and the probes show subjects 1 and 2, a line an image."""
    (root / "meta").mkdir()
    (root / "loose_crop").mkdir()
    for i in (1, 2, 3, 4):
        (root / f"loose_crop/{i}.jpg").write_bytes(bytes([i]))
    meta = write_meta(root / "meta")
    points = " ".join(str(i + 0.5) for i in range(10))
    (meta / "ijbb_face_tid_mid.txt").write_text("1.jpg 7 100\n2.jpg 7 101\n3.jpg 9 100\n4.jpg 8 101\n")
    (meta / "ijbb_name_5pts_score.txt").write_text("".join(f"{i}.jpg {points} 0.{i}\n" for i in (1, 2, 3, 4)))
    (meta / "ijbb_template_pair_label.txt").write_text("7 9 1\n7 8 0\n")
    (meta / "ijbb_1N_gallery_S1.csv").write_text("TEMPLATE_ID,SUBJECT_ID,FILENAME\n7,1,a\n7,1,b\n")
    (meta / "ijbb_1N_probe_mixed.csv").write_text("TEMPLATE_ID,SUBJECT_ID,FILENAME\n9,1,a\n8,2,b\n")
    return root


def test_a_release_of_ijb_becomes_templates_comparisons_and_searches(tmp_path: Path):
    found = ijb.read(write_release(tmp_path))
    assert [found.encoded(row) for row in range(4)] == [b"\1", b"\2", b"\3", b"\4"]
    assert found.images.to_pydict() == {
        "template": [0, 0, 2, 1], "media": [0, 1, 0, 1], "score": pytest.approx([0.1, 0.2, 0.3, 0.4]),
    }  # fmt: skip
    assert found.landmarks is not None and found.landmarks.shape == (4, 5, 2)
    assert found.identity[0] == found.identity[1] == found.identity[2] != found.identity[3]
    assert found.protocols["templates"].to_pydict() == {"a": [0, 0], "b": [2, 1], "same": [True, False]}
    searches = found.protocols["open_set"]
    assert searches.to_pydict() == {"template": [0, 1, 2], "list": ["S1", "probes", "probes"]}
    assert layouts.benchmark(tmp_path) == "ijb"


def test_without_lists_of_searches_genuine_pairs_tell_who_is_one_person(tmp_path: Path):
    for file in (write_release(tmp_path) / "meta").glob("*.csv"):
        file.unlink()
    found = ijb.read(tmp_path)
    assert list(found.protocols) == ["templates"]
    assert found.identity[0] == found.identity[2] != found.identity[3]


@pytest.mark.parametrize(
    ("file", "text", "key", "value"),
    [
        ("ijbb_template_pair_label.txt", "7 5 1\n", "second template", 5),
        ("ijbb_1N_gallery_S1.csv", "T,S\n11,1\n", "template", 11),
    ],
)
def test_a_template_without_images_is_refused(tmp_path: Path, file: str, text: str, key: str, value: int):
    (write_release(tmp_path) / "meta" / file).write_text(text)
    with refused(file, "a template without images", key=key, value=value):
        ijb.read(tmp_path)


@pytest.mark.parametrize(
    ("file", "text", "fields"),
    [
        ("ijbb_1N_gallery_S1.csv", "T,S\n7,1\n7,2\n", {"key": "subject of template 7", "value": 2}),
        ("ijbb_1N_probe_mixed.csv", "T,S\n9,1\n7,2\n", {"key": "subject of template 7", "value": 2}),
        ("ijbb_1N_probe_mixed.csv", "9,1\n8,2\n", {"problem": "no header", "key": "line 1"}),
    ],
    ids=["in one list", "in two", "no header"],
)
def test_subjects_that_cannot_be_right_are_refused(tmp_path: Path, file: str, text: str, fields: dict):
    (write_release(tmp_path) / "meta" / file).write_text(text)
    with refused(file, **fields):
        ijb.read(tmp_path)


def test_a_release_without_an_image_or_with_two_lists_is_refused(tmp_path: Path):
    (write_release(tmp_path) / "loose_crop/3.jpg").unlink()
    with refused("loose_crop/3.jpg", "no such image, listed in"):
        ijb.read(tmp_path)
    (tmp_path / "meta/ijbc_face_tid_mid.txt").touch()
    with refused("meta", key="lists", value="ijbb, ijbc", allowed="one NAME_face_tid_mid.txt"):
        ijb.read(tmp_path)


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
    found = tinyface.read(tmp_path)
    assert found.identity.tolist() == [3, 3, 4, -100] and found.landmarks is None
    assert found.images["template"].to_pylist() == found.images["media"].to_pylist() == [0, 1, 2, 3]
    assert found.protocols["closed_set"].to_pydict() == {
        "template": [0, 1, 2, 3], "list": ["probes", "gallery", "gallery", "gallery"],
    }  # fmt: skip
    assert layouts.benchmark(tmp_path) == "tinyface"
    (tmp_path / "Gallery_Distractor/d.jpg").rename(tmp_path / "d.jpg")
    with refused("Gallery_Distractor", "no image"):
        tinyface.read(tmp_path)
    (tmp_path / "Gallery_Match/4_1.jpg").unlink()
    with refused("4_1.jpg", f"no such file, listed in {tmp_path / 'gallery_match_img_ID_pairs.mat'}"):
        tinyface.gallery(tmp_path)
    (tmp_path / "probe_img_ID_pairs.mat").write_bytes(b"nothing")
    with refused("probe_img_ID_pairs.mat", key="probe_set", allowed="rows of a file name and a number"):
        tinyface.probes(tmp_path)
