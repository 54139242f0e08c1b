"""One conformance test over all formats of training sets; what is broken is refused."""

import sys
import tarfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import lmdb
import msgpack
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from formats.faces import Some, encoded, write_folder
from refusal import refused
from tiny import run, working_in, write_params

from stages import formats
from stages.common.images import Shards, decode
from stages.formats import Faces, folder, layouts, parquet, rec, webdataset
from stages.formats.training_sets import READERS
from stages.tools import ingest
from stages.validate import find_external


def packed(value: object) -> bytes:
    return msgpack.packb(value) or b""


def write_lmdb(target: Path, faces: Faces, feature: bool = False) -> None:
    """Write as SOTA-FR's imagelist2lmdb does; with a feature in each value as Vec2Face's training set."""
    with lmdb.open(str(target / "some.lmdb"), subdir=False, map_size=1 << 24) as env, env.begin(write=True) as view:
        for row, person in enumerate(faces.identity.tolist()):
            value = (faces.encoded(row), b"feature", person) if feature else (faces.encoded(row), person)
            view.put(str(row).encode(), packed(value))
        view.put(b"__keys__", packed([str(row).encode() for row in range(len(faces.identity))]))
        view.put(b"__len__", packed(len(faces.identity)))


WRITERS: dict[str, Callable[[Path, Faces], None]] = {
    "folder": folder.write,
    "rec": rec.write,
    "lmdb": write_lmdb,
    "parquet": parquet.write,
    "arrow": ingest.write_shards,
    "webdataset": webdataset.write,
}


def by_person(faces: Faces) -> list[list[bytes]]:
    return [
        [faces.encoded(int(row)) for row in np.flatnonzero(faces.identity == p)]
        for p in range(faces.identity.max() + 1)
    ]


def test_every_format_has_a_reader_and_a_writer():
    assert list(READERS) == list(WRITERS)


@pytest.mark.parametrize("kind", WRITERS)
def test_people_and_bytes_come_back(tmp_path: Path, kind: str):
    WRITERS[kind](tmp_path, Some())
    assert by_person(READERS[kind](tmp_path)) == Some().by_person()


@pytest.mark.parametrize("kind", sorted(set(WRITERS) - {"lmdb"}))
def test_equal_faces_give_equal_bytes(tmp_path: Path, kind: str):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        WRITERS[kind](tmp_path / name, Some())
    a, b = ({f.name: f.read_bytes() for f in (tmp_path / name).rglob("*") if f.is_file()} for name in ("a", "b"))
    assert a == b


def test_a_large_parquet_and_tar_are_cut_into_files_and_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(parquet, "ROWS_PER_GROUP", 2)
    monkeypatch.setattr(parquet, "GROUPS_PER_FILE", 2)
    monkeypatch.setattr(webdataset, "ROWS_PER_FILE", 4)
    for kind, count in (("parquet", 2), ("webdataset", 2)):
        (tmp_path / kind).mkdir()
        WRITERS[kind](tmp_path / kind, Some())
        assert len(list((tmp_path / kind).iterdir())) == count
        faces = READERS[kind](tmp_path / kind)
        assert by_person(faces) == Some().by_person()
        assert [faces.encoded(row) for row in (5, 0, 3)] == [Some.images[row] for row in (5, 0, 3)]
    assert READERS["parquet"](tmp_path / "parquet").source(5).endswith("train-00001-of-00002.parquet: row 1")


def test_an_lmdb_with_features_and_one_without_a_list_of_keys_are_read(tmp_path: Path):
    write_lmdb(tmp_path, Some(), feature=True)
    assert by_person(READERS["lmdb"](tmp_path / "some.lmdb")) == Some().by_person()
    with lmdb.open(str(tmp_path / "some.lmdb"), subdir=False) as env, env.begin(write=True) as view:
        view.delete(b"__keys__")
    assert by_person(READERS["lmdb"](tmp_path)) == Some().by_person()
    (tmp_path / "folder").mkdir()
    (tmp_path / "some.lmdb").rename(tmp_path / "folder/data.mdb")  # as LMDB names it in a folder
    assert by_person(READERS["lmdb"](tmp_path / "folder")) == Some().by_person()


def nested(depth: int) -> bytes:
    """Return lists within lists, each of which says that it holds a million, in a value long enough to be believed."""
    return b"\xdd\x00\x0f\x42\x40" * depth + bytes(1 << 20)


@pytest.mark.parametrize("listed", [True, False])
def test_an_lmdb_is_read_without_an_object_for_each_image(tmp_path: Path, listed: bool, monkeypatch):
    monkeypatch.setattr("stages.formats.lmdb.PART", 50)
    faces = Some()
    faces.identity, faces.images = np.zeros(4000, np.int64), (b"x",) * 4000
    write_lmdb(tmp_path, faces)
    if not listed:
        with lmdb.open(str(tmp_path / "some.lmdb"), subdir=False) as env, env.begin(write=True) as view:
            view.delete(b"__keys__")
    READERS["lmdb"](tmp_path)  # imports
    tracemalloc.start()
    READERS["lmdb"](tmp_path)
    assert tracemalloc.get_traced_memory()[1] < 60 * 4000
    tracemalloc.stop()


def test_an_lmdb_names_any_key_in_one_short_line(tmp_path: Path):
    write_lmdb(tmp_path, Some())
    with lmdb.open(str(tmp_path / "some.lmdb"), subdir=False, map_size=1 << 24) as env, env.begin(write=True) as view:
        view.put(b"a\n" + b"x" * 400, view.get(b"0") or b"")
        view.delete(b"__keys__")
    faces = READERS["lmdb"](tmp_path)
    source = max((faces.source(row) for row in range(len(faces.identity))), key=len)
    assert source.startswith(f"{tmp_path / 'some.lmdb'}: key a ") and len(source) < 400 and source.isprintable()


@pytest.mark.parametrize(
    ("key", "value", "wrong"),
    [
        ("__keys__", b"\xff garbage", "__keys__"),
        ("__keys__", packed(7), "__keys__"),
        ("__keys__", packed({"0": 1}), "__keys__"),
        ("__keys__", packed([0, 1]), "__keys__"),
        ("__keys__", packed([b"0", b"0"]), "__keys__"),
        ("__keys__", packed([b"0", b"none"]), "key none"),
        ("__keys__", packed([[b"0"]]), "__keys__"),
        ("__keys__", packed([b"0"])[:-1], "__keys__"),
        ("__keys__", nested(500), "__keys__"),
        ("__keys__", b"\xdd\xff\xff\xff\xff", "__keys__"),
        ("0", nested(500), "key 0"),
        ("0", b"\x93" * 100_000, "key 0"),
        ("0", b"\x81" * 100_000, "key 0"),
        ("0", packed((b"image", True)), "key 0"),
        ("0", packed((b"image", 2**63)), "key 0"),
        ("0", packed((b"image", 1.5)), "key 0"),
        ("0", packed(("image",)), "key 0"),
        ("0", packed({}), "key 0"),
        ("0", b"", "key 0"),
    ],
)
def test_an_lmdb_with_other_values_is_refused(tmp_path: Path, key: str, value: bytes, wrong: str):
    write_lmdb(tmp_path, Some())
    with lmdb.open(str(tmp_path / "some.lmdb"), subdir=False, map_size=1 << 24) as env, env.begin(write=True) as view:
        view.put(key.encode(), value)
    with refused("some.lmdb", key=wrong, allowed="msgpack of "):
        READERS["lmdb"](tmp_path)


def test_pages_of_an_lmdb_that_are_broken_are_refused(tmp_path: Path):
    write_lmdb(tmp_path, Some())
    file = tmp_path / "some.lmdb"
    whole = file.read_bytes()
    count = 0
    for at in range(2 * 4096, 10 * 4096, 512):  # after the two pages that lead to the others
        file.write_bytes(whole[:at] + b"\xff" * 64 + whole[at + 64 :])
        try:
            READERS["lmdb"](tmp_path)
        except ValueError as error:
            count += "some.lmdb" in str(error)
    assert count


def test_an_arrow_stream_with_a_struct_of_bytes_is_read(tmp_path: Path):
    table = pa.table({"image": [{"bytes": image, "path": None} for image in Some.images], "label": Some.identity})
    with pa.OSFile(str(tmp_path / "data.arrow"), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=4)
    assert by_person(READERS["arrow"](tmp_path)) == Some().by_person()


@pytest.mark.parametrize("kind", WRITERS)
def test_what_is_missing_or_broken_is_refused_in_one_line(tmp_path: Path, kind: str):
    with pytest.raises(ValueError, match=str(tmp_path)):
        READERS[kind](tmp_path)
    WRITERS[kind](tmp_path, Some())
    if kind == "folder":
        return
    suffixes = layouts.SETS[kind]
    file = next(file for file in sorted(tmp_path.iterdir()) if file.suffix in suffixes)
    whole = file.read_bytes().rstrip(b"\0")  # a tar is padded
    for broken in (whole[: len(whole) * 3 // 4], whole[:900], b"nothing of the kind" * 60):
        file.write_bytes(broken)
        with pytest.raises(ValueError, match=file.name) as error:
            READERS[kind](tmp_path)
        assert "\n" not in str(error.value)


def test_a_stream_that_ends_between_two_batches_is_refused(tmp_path: Path):
    table = pa.table({"image": list(Some.images), "label": Some.identity})
    file = tmp_path / "data.arrow"
    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table[:3])
        end = sink.tell()
        writer.write_table(table[3:])
    file.write_bytes(file.read_bytes()[:end])
    with pytest.raises(ValueError, match="data.arrow: truncated"):
        READERS["arrow"](tmp_path)


@pytest.mark.parametrize(
    ("columns", "fields"),
    [
        ({"image": [b"x"]}, {"key": "columns", "value": "image", "allowed": "image, and label or identity"}),
        ({"image": [b"x"] * 2, "label": [0, None]}, {"key": "label", "problem": "missing", "allowed": "whole numbers"}),
        ({"image": [{"bytes": None, "path": "a.jpg"}], "label": [0]}, {"problem": "no image bytes"}),
    ],
)
def test_tables_without_what_is_needed_are_refused(tmp_path: Path, columns: dict, fields: dict):
    table = pa.table(columns)
    with pa.OSFile(str(tmp_path / "a.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    pq.write_table(table, tmp_path / "a.parquet")
    for kind in ("arrow", "parquet"):
        with refused(**fields):
            READERS[kind](tmp_path).encoded(0)


def test_images_without_a_label_and_files_that_are_no_image_are_refused(tmp_path: Path):
    webdataset.write(tmp_path, Some())
    tar = tmp_path / "000000.tar"
    with tarfile.open(tar, "w") as stream:
        stream.add(__file__, "0.png")
    with refused(tar, "missing", key="label of '0.png'", allowed="a whole number"):
        READERS["webdataset"](tmp_path)
    with refused("some", key="first bytes", value=b"GIF8", allowed="JPEG, PNG"):
        formats.suffix(b"GIF89a", "some")


def test_a_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "msgpack", None)
    with refused(None, "msgpack is not installed; pip install -e '.[published]'"):
        READERS["lmdb"](Path("nothing"))


OWN = {"backend": "rec", "path": "external/sets/own", "identities": 2, "images": 2, "seed": 0}
FRAMED = {"world.photo_frame_px": 112, "world.size_px": 32}


@pytest.mark.parametrize("kind", WRITERS)
def test_the_stage_keeps_the_bytes_of_faces_that_already_fit(tmp_path: Path, kind: str):
    write_params(tmp_path, {**FRAMED, "sets.own": {**OWN, "backend": kind}})
    own = tmp_path / "data/external/sets/own"
    own.mkdir(parents=True)
    WRITERS[kind](own, Some())
    with working_in(tmp_path):
        assert run("sets own").startswith("sets own: 2 identities")
    shards = Shards(tmp_path / "data/sets/own")
    assert shards.column("identity").tolist() == [0, 0, 1] and shards.column("index").tolist() == [0, 1, 0]
    people = Some().by_person()
    assert [bytes(shards.encoded(row)) for row in range(len(shards))] == [*people[0][:2], people[1][0]]
    assert set(shards.column("domain").tolist()) == {"external"}


def test_the_stage_stores_losslessly_what_it_changes(tmp_path: Path):
    write_params(tmp_path, {"world.photo_frame_px": 112, "world.size_px": 16, "sets.own": {**OWN, "backend": "folder"}})
    write_folder(tmp_path / "data/external/sets/own")
    with working_in(tmp_path):
        run("sets own")
    shards = Shards(tmp_path / "data/sets/own")
    image = bytes(shards.encoded(0))
    original = decode((tmp_path / "data/external/sets/own/anna/0.jpg").read_bytes())
    assert image.startswith(b"\x89PNG") and decode(image).shape == (16, 16, 3)
    means = original.reshape(16, 2, 16, 2, 3).mean((1, 3))
    assert np.abs(decode(image) - means).max() <= 0.5


def test_a_face_of_another_size_than_declared_is_refused(tmp_path: Path):
    write_params(tmp_path, {**FRAMED, "sets.own": OWN})
    own = tmp_path / "data/external/sets/own"
    own.mkdir(parents=True)
    rec.write(own, Some())
    (own / "property").write_text("3,112,112\n")
    record = f"{OWN['path']}/train.rec: record 1"
    with working_in(tmp_path), refused(record, "32 x 32 pixels", allowed="112 x 112, as declared"):
        run("sets own")
    (own / "property").write_text("3\n")
    with refused(own / "property", key="line 1", value="3", allowed="people,height,width"):
        READERS["rec"](own)


@pytest.mark.parametrize("kind", [*WRITERS, "embedded"])
def test_validate_finds_a_set_whose_files_are_missing(tmp_path: Path, kind: str):
    path = "none" if kind == "embedded" else OWN["path"]
    write_params(tmp_path, {"sets.own": {**OWN, "backend": kind, "path": path}})
    own = tmp_path / "data/external/sets/own"
    own.mkdir(parents=True)
    (tmp_path / "data/external/benchmarks").mkdir()
    with working_in(tmp_path):
        if kind != "embedded":
            with pytest.raises(ValueError, match="params.yaml: sets.own.path = 'external/sets/own': ") as error:
                find_external(Path("params.yaml"))
            assert "\n" not in str(error.value)
            WRITERS[kind](own, Some())
        find_external(Path("params.yaml"))


def test_two_record_files_in_one_place_are_refused(tmp_path: Path):
    for name in ("train.rec", "val.rec"):
        (tmp_path / name).write_bytes(encoded(0))
    with refused(tmp_path, "train.rec, val.rec", allowed="one .rec"):
        READERS["rec"](tmp_path)
