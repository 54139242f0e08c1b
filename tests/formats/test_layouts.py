"""What is read of a folder as people have it: one set, whole, and nothing that only lies there."""

import json
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from formats.faces import Some, encoded, write_folder
from refusal import refused

from stages.formats import cvlface, folder, layouts, parquet
from stages.formats.training_sets import READERS
from stages.galleries import folder as gallery
from stages.protocols import external
from stages.tools import ingest

HIDDEN = [".ipynb_checkpoints", ".cache", "@eaDir", "__MACOSX", "lost+found", "$RECYCLE.BIN", "@EADIR"]


def put(root: Path, *names: str) -> None:
    for i, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(encoded(i))


def names(root: Path) -> list[str]:
    return [str(file.relative_to(root)) for file in layouts.walk(root, layouts.IMAGES)]


def in_turns(root: Path) -> list[Path]:
    files = layouts.walk(root, layouts.IMAGES)
    return [files[i].relative_to(root) for i in gallery.in_turns(files).tolist()]


@pytest.mark.parametrize("name", HIDDEN)
def test_hidden_and_system_folders_are_skipped(tmp_path: Path, name: str):
    put(tmp_path, "anna/0.jpg", f"anna/{name}/0.jpg", f"{name}/anna/1.jpg", f"{name}/x.jpg/y.jpg")
    assert names(tmp_path) == ["anna/0.jpg"]
    faces = READERS["folder"](tmp_path)
    assert faces.identity.tolist() == [0] and faces.skipped == 2
    cvlface.write(tmp_path / name, Some.images.__getitem__, np.arange(4), np.array([True, False]))
    assert list(layouts.benchmarks(tmp_path)) == ["anna"]


@pytest.mark.parametrize("name", ["._0.jpg", ".DS_Store", "Thumbs.db", "desktop.ini", "notes.txt", "0.jpg.part"])
def test_files_that_are_no_image_are_skipped_and_counted(tmp_path: Path, name: str):
    put(tmp_path, "anna/0.jpg", f"anna/{name}", "of nobody.jpg")
    faces = READERS["folder"](tmp_path)
    assert faces.identity.tolist() == [0] and faces.skipped == 2


def test_a_folder_or_pipe_that_is_called_like_an_image_is_skipped(tmp_path: Path):
    put(tmp_path, "anna/x.jpg/0.png", "anna/1.jpg")
    os.mkfifo(tmp_path / "anna/2.jpg")  # to open it would wait for ever
    assert names(tmp_path) == ["anna/1.jpg", "anna/x.jpg/0.png"]


def test_files_are_in_the_order_in_which_paths_are_sorted(tmp_path: Path):
    put(
        tmp_path, *(f"{folder}/0.jpg" for folder in ("a", "a-b", "a.b", "a b", "a/b", "A", "ab", "\xe9", "\u4e00", "b"))
    )
    put(tmp_path, "a.jpg", "b.jpg", "a/b.jpg", "a/b-1.jpg")
    files = layouts.walk(tmp_path, layouts.IMAGES)
    assert len(files) == 14 and list(files) == sorted(tmp_path.rglob("*.jpg")) == files[:]
    assert [folder for folder, *_ in filter(None, files.folders())] == [
        file.relative_to(tmp_path).parts[0] for file in files if file.parent != tmp_path
    ]


def test_a_list_of_many_files_takes_no_object_for_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("stages.formats.files.PART", 50)
    put(tmp_path, "anna/0.jpg", "bert/0.jpg")
    for i in range(1, 2000):
        os.link(tmp_path / "anna/0.jpg", tmp_path / f"anna/{i}.jpg")
        os.link(tmp_path / "bert/0.jpg", tmp_path / f"bert/{i}.jpg")
    for read in (READERS["folder"], lambda root: gallery.in_turns(layouts.walk(root, layouts.IMAGES))):
        read(tmp_path)  # imports
        tracemalloc.start()
        read(tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 40 * 4000
        tracemalloc.stop()


def test_links_are_followed_also_in_circles(tmp_path: Path):
    put(tmp_path / "there", "a/0.jpg", "b/0.jpg")
    here = tmp_path / "here"
    here.mkdir()
    for i, target in enumerate(["../there/a", "../there/b", "../there/b", "."]):
        (here / f"p{i}").symlink_to(target)
    (tmp_path / "there/a/up").symlink_to("../..")
    assert names(here) == ["p0/0.jpg", "p1/0.jpg"]


@pytest.mark.parametrize("kind", ["folder", "webdataset", "parquet"])
def test_a_link_to_nowhere_is_named(tmp_path: Path, kind: str):
    put(tmp_path, "anna/0.jpg")
    (tmp_path / "anna/gone").symlink_to("../nowhere")
    with refused(tmp_path / "anna/gone", "a link to ../nowhere"):
        READERS[kind](tmp_path)
    (tmp_path / "gone.bin").symlink_to("nowhere")
    with refused(tmp_path / "gone.bin", "a link to nowhere"):
        layouts.benchmarks(tmp_path)


@pytest.mark.parametrize("suffix", sorted(layouts.IMAGES))
def test_images_of_every_suffix_and_case_are_read(tmp_path: Path, suffix: str):
    kind = {".jfif": ".jpg"}.get(suffix, suffix)
    (tmp_path / "anna").mkdir()
    done, buffer = cv2.imencode(kind, np.full((8, 8, 1 if kind == ".pgm" else 3), 99, np.uint8))
    (tmp_path / f"anna/0{suffix.upper()}").write_bytes(buffer.tobytes())
    faces = READERS["folder"](tmp_path)
    (tmp_path / "out").mkdir()
    folder.write(tmp_path / "out", faces)
    assert done and READERS["folder"](tmp_path / "out").encoded(0) == buffer.tobytes()


def test_images_of_a_person_may_lie_in_folders_of_their_own(tmp_path: Path):
    put(tmp_path, *(f"{who}/{pose}/{i}.jpg" for who in "abc" for pose in ("frontal", "profile") for i in range(2)))
    put(tmp_path, "d/0.jpg")
    assert np.bincount(READERS["folder"](tmp_path).identity).tolist() == [4, 4, 4, 1]
    assert {file.parts[0] for file in in_turns(tmp_path)[:4]} == set("abcd")


@pytest.mark.parametrize(
    "where", [("train/a", "train/b", "val/a", "val/b"), ("0/a", "0/b", "0/c", "1/d"), ("imgs/a", "imgs/b")]
)
def test_people_in_parts_of_a_set_are_not_taken_for_one(tmp_path: Path, where: tuple[str, ...]):
    put(tmp_path, *(f"{place}/{i}.jpg" for place in where for i in range(2)))
    with refused(tmp_path / where[0] / "0.jpg", "is its person the first folder", allowed="one folder per person"):
        READERS["folder"](tmp_path)
    assert [str(file.parent) for file in in_turns(tmp_path)[: len(where)]] == list(where)


ONE = [
    ("0.parquet", "1.parquet"),
    ("train-00000-of-00002.parquet", "train-00001-of-00002.parquet"),
    ("train-00000-of-00002-2d8c1ee6d7a3b8a8.parquet", "train-00001-of-00002-90aa41c06a97b8ff.parquet"),
    ("part-00000-1b2c3d4e-c000.snappy.parquet", "part-00001-1b2c3d4e-c000.snappy.parquet"),
    ("web4m-000000.parquet", "web4m-000001.PARQUET"),
    ("00/0.parquet", "01/0.parquet"),
]
SEVERAL = [
    ("train-00000-of-00001.parquet", "test-00000-of-00001.parquet"),
    ("data/train-00000-of-00001.parquet", "data/validation-00000-of-00001.parquet"),
    ("default/train/0000.parquet", "default/test/0000.parquet"),
    ("ms1m.parquet", "vgg.parquet"),
]


@pytest.mark.parametrize(("pair", "one"), [*((pair, True) for pair in ONE), *((pair, False) for pair in SEVERAL)])
def test_files_of_one_set_are_read_together_and_of_several_refused(tmp_path: Path, pair: tuple[str, str], one: bool):
    (tmp_path / "written").mkdir()
    parquet.write(tmp_path / "written", Some())
    content = next((tmp_path / "written").iterdir()).read_bytes()
    root = tmp_path / "set"
    for name in pair:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    if one:
        assert len(READERS["parquet"](root).identity) == 12
        return
    for check in (READERS["parquet"], lambda path: layouts.check_set("parquet", path)):
        with refused(root, f"several sets or splits: {', '.join(sorted(pair))}", allowed="one"):
            check(root)
    assert len(READERS["parquet"](root / pair[1]).identity) == 6


def files_named(name: object) -> dict:
    """Return what `datasets` writes to state.json, with one file."""
    return {"_data_files": [{"filename": name}]}


def copied(target: Path) -> None:
    file = next(target.glob("*-0*.arrow"))
    (target / "cache-0123456789abcdef.arrow").write_bytes(file.read_bytes())
    (target / "cache-fedcba_00000_of_00002.arrow").write_bytes(file.read_bytes())


def listed(target: Path) -> None:
    file = next(target.glob("*-0*.arrow"))
    (target / "data-00007-of-00001.arrow").write_bytes(file.read_bytes())
    (target / "state.json").write_text(json.dumps(files_named(file.name)))


@pytest.mark.parametrize("leave", [copied, listed])
def test_what_datasets_leaves_beside_its_data_is_no_data(tmp_path: Path, leave: Callable[[Path], None]):
    (tmp_path / "set").mkdir()
    ingest.write_shards(tmp_path / "set", Some())
    leave(tmp_path / "set")
    faces = READERS["arrow"](tmp_path / "set")
    assert len(faces.identity) == 6 and faces.skipped in (1, 2)
    rows, same = np.array([1, 3, 0, 2, 2, 4, 5, 0]), np.array([True, False] * 2)
    (tmp_path / "benchmark").mkdir()
    cvlface.write(tmp_path / "benchmark", Some.images.__getitem__, rows, same)
    leave(tmp_path / "benchmark")
    assert external.read(tmp_path / "benchmark").pairs["same"].to_pylist() == same.tolist()


@pytest.mark.parametrize(
    ("state", "fields"),
    [
        (files_named("data-00001-of-00002.arrow"), {"problem": "no such file", "value": "data-00001-of-00002.arrow"}),
        (files_named("x" * 5000), {"problem": "no such file", "value": "x" * 5000}),
        (files_named(5), {"allowed": "a list of file names"}),
        ({"_data_files": 5}, {"allowed": "a list of file names"}),
        ([], {"allowed": "a list of file names"}),
    ],
)
def test_a_list_of_data_files_that_is_wrong_is_refused(tmp_path: Path, state: object, fields: dict):
    ingest.write_shards(tmp_path, Some())
    (tmp_path / "state.json").write_text(json.dumps(state))
    with refused(tmp_path / "state.json", key="_data_files", **fields):
        READERS["arrow"](tmp_path)


def test_benchmarks_are_found_whatever_the_case(tmp_path: Path):
    for name in ("LFW.BIN", "calfw.Xz", "._lfw.bin"):
        (tmp_path / name).touch()
    assert list(layouts.benchmarks(tmp_path)) == ["LFW", "calfw"]
    assert layouts.benchmark(tmp_path / "LFW.BIN") == "bin"


def test_two_databases_in_one_place_are_refused(tmp_path: Path):
    for name in ("part1.lmdb", "part2.lmdb"):
        (tmp_path / name).write_bytes(b"")
    for check in (READERS["lmdb"], lambda path: layouts.check_set("lmdb", path)):
        with refused(tmp_path, "part1.lmdb, part2.lmdb", allowed="one .lmdb"):
            check(tmp_path)


def test_a_folder_as_it_always_was(tmp_path: Path):
    write_folder(tmp_path)
    faces = READERS["folder"](tmp_path)
    assert np.bincount(faces.identity).tolist() == [3, 2, 3] and faces.skipped == 0
