"""The lists of IJB and TinyFace."""

from pathlib import Path

import numpy as np
import pytest
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
    found = ijb.images(write_meta(tmp_path), "ijbb")
    assert found.name.tolist() == ["1.jpg", "2.jpg", "3.jpg"] and found.template.tolist() == [7, 7, 8]
    assert found.media.tolist() == [100, 101, 100] and found.score.tolist() == [0.1, 0.2, 0.3]
    assert found.landmarks.shape == (3, 5, 2) and found.landmarks[2, 4].tolist() == [8.5, 9.5]
    one, other, same = ijb.pairs(tmp_path, "ijbb")
    assert (one.tolist(), other.tolist(), same.tolist()) == ([7, 7], [8, 7], [False, True])
    template, person = ijb.subjects(tmp_path / "ijbb_1N_gallery_S1.csv")
    assert template.tolist() == [7, 8] and person.tolist() == [1, 2]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1"])
def test_lists_of_any_encoding_and_ending_are_read(tmp_path: Path, encoding: str):
    for file in write_meta(tmp_path).iterdir():
        file.write_bytes(file.read_text().replace("2.jpg", "zoë.jpg").replace("\n", "\r\n").encode(encoding))
    found = ijb.images(tmp_path, "ijbb")
    assert found.name.tolist() == ["1.jpg", "zoë.jpg", "3.jpg"] and found.template.tolist() == [7, 7, 8]
    assert ijb.pairs(tmp_path, "ijbb")[1].tolist() == [8, 7]


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("ijbb_face_tid_mid.txt", "1.jpg 7\n", "2 columns; allowed: 3"),
        ("ijbb_face_tid_mid.txt", "1.jpg 7 x\n", "expected 3 columns"),
        ("ijbb_face_tid_mid.txt", f"1.jpg 7 {'x' * 9000}\n", r"expected 3 columns: .{,120}$"),
        ("ijbb_face_tid_mid.txt", "1.jpg\0 7 100\n", "face_tid_mid.txt: not a text"),
        ("ijbb_face_tid_mid.txt", "1.jpg 7 100\n3.jpg 7 101\n2.jpg 8 100\n", "lists other images than"),
        ("ijbb_name_5pts_score.txt", "1.jpg 1 2 3\n", "4 columns; allowed: 12"),
        ("ijbb_name_5pts_score.txt", f"1.jpg {'nan ' * 10}1\n", "a missing value in column 2; allowed: none"),
    ],
)
def test_broken_lists_are_refused_in_one_line(tmp_path: Path, file: str, text: str, said: str):
    (write_meta(tmp_path) / file).write_text(text)
    with pytest.raises(ValueError, match=said) as error:
        ijb.images(tmp_path, "ijbb")
    assert "\n" not in str(error.value)


def test_broken_pairs_and_missing_files_are_refused(tmp_path: Path):
    (write_meta(tmp_path) / "ijbb_template_pair_label.txt").write_text("7 8 2\n")
    with pytest.raises(ValueError, match="label 2; allowed: 0 or 1"):
        ijb.pairs(tmp_path, "ijbb")
    with pytest.raises(ValueError, match="ijbc_face_tid_mid.txt: no such file"):
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
    with pytest.raises(ValueError, match="4_1.jpg: no such file, named in .*gallery_match_img_ID_pairs.mat"):
        tinyface.gallery(tmp_path)
    (tmp_path / "probe_img_ID_pairs.mat").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="expected probe_set") as error:
        tinyface.probes(tmp_path)
    assert "\n" not in str(error.value)
