"""Tables of images: every type of column that holds them is read; others, and those that take much memory, refused."""

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from formats.faces import Some
from refusal import refused

from stages.formats.training_sets import READERS

NAMES = ["carl", "anna", "dora", "anna", "dora", "anna"]  # who is on the faces of Some
SPARE = 80_000_000  # zeros that are too many for the few bytes that they take


def write_arrow(table: pa.Table, folder: Path, name: str = "a") -> None:
    with pa.OSFile(str(folder / f"{name}.arrow"), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)


def write_parquet(table: pa.Table, folder: Path, name: str = "a") -> None:
    pq.write_table(table, folder / f"{name}.parquet", row_group_size=2)


WRITERS = {"arrow": write_arrow, "parquet": write_parquet}
IMAGES = {
    "binary": pa.array(Some.images),
    "large": pa.array(Some.images, pa.large_binary()),
    "struct": pa.array([{"bytes": image, "path": "0.jpg"} for image in Some.images]),
    "dictionary": pa.array(Some.images).dictionary_encode(),
}
LABELS = {
    "numbers": pa.array(Some.identity),
    "bytes": pa.array(Some.identity, pa.uint8()),
    "names": pa.array(NAMES),
    "large": pa.array(NAMES, pa.large_string()),
    "categories": pa.array(NAMES).dictionary_encode(),
}


def table(image: str = "binary", label: str = "numbers") -> pa.Table:
    return pa.table({"image": IMAGES[image], "label": LABELS[label]})


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("image", IMAGES)
@pytest.mark.parametrize("label", LABELS)
def test_images_and_labels_of_all_types_are_read(tmp_path: Path, kind: str, image: str, label: str):
    named = label in ("names", "large", "categories")
    expected = np.unique(NAMES, return_inverse=True)[1] if named else Some.identity
    WRITERS[kind](table(image, label), tmp_path)
    faces = READERS[kind](tmp_path)
    assert faces.identity.tolist() == expected.tolist()
    assert [faces.encoded(row) for row in range(6)] == list(Some.images)


def test_views_as_polars_writes_them_are_read(tmp_path: Path):
    views = {"image": pa.array(Some.images, pa.binary_view()), "label": pa.array(NAMES, pa.string_view())}
    write_arrow(pa.table(views), tmp_path)
    faces = READERS["arrow"](tmp_path)
    assert faces.identity.tolist() == [1, 0, 2, 0, 2, 0] and faces.encoded(5) == Some.images[5]


@pytest.mark.parametrize("kind", WRITERS)
def test_rows_are_numbered_across_files(tmp_path: Path, kind: str):
    for name, part in (("a-0", slice(0, 2)), ("a-1", slice(2, 3)), ("a-2", slice(3, 6))):
        WRITERS[kind](table()[part], tmp_path, name)
    faces = READERS[kind](tmp_path)
    assert [faces.encoded(row) for row in (5, 0, 3, 2, 1, 4)] == [Some.images[row] for row in (5, 0, 3, 2, 1, 4)]
    places = [faces.source(row).removeprefix(f"{tmp_path}/") for row in (1, 2, 4, 5)]
    assert places == [f"a-0.{kind}: row 1", f"a-1.{kind}: row 0", f"a-2.{kind}: row 1", f"a-2.{kind}: row 2"]


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize(
    ("columns", "key", "fields"),
    [
        ({"label": [[0], [1]]}, "label", {"allowed": "whole numbers"}),
        ({"label": [0.5, 1.5]}, "label", {"value": "double", "allowed": "whole numbers"}),
        ({"label": [{"a": 0}, {"a": 1}]}, "label", {"value": "struct<a: int64>", "allowed": "whole numbers"}),
        ({"label": pa.array([0, 2**63], pa.uint64())}, "label", {"allowed": "whole numbers"}),
        ({"label": ["anna", None]}, "label of row 1", {"problem": "missing"}),
        ({"label": ["anna", "a" * 2000]}, "label of row 1", {"problem": "a name of 2,000 characters"}),
        ({"label": [0, 1], "image": [[b"x"], [b"x"]]}, "image", {"allowed": "bytes, or a struct"}),
        ({"label": [0, 1], "image": [1, 2]}, "image", {"value": "int64", "allowed": "bytes, or a struct"}),
    ],
)
def test_columns_of_another_kind_are_refused(tmp_path: Path, kind: str, columns: dict, key: str, fields: dict):
    WRITERS[kind](pa.table({"image": [b"x", b"y"], **columns}), tmp_path)
    with refused(tmp_path / f"a.{kind}", key=key, **fields):
        READERS[kind](tmp_path)


@pytest.mark.parametrize("kind", WRITERS)
def test_a_table_without_rows_is_refused(tmp_path: Path, kind: str):
    WRITERS[kind](table()[:0], tmp_path)
    with refused(tmp_path, "no rows", allowed="one or more"):
        READERS[kind](tmp_path)


@pytest.mark.parametrize("offsets", [[0, 4, 2, 4], [0, -5, 2, 4], [0, 2**30, 2, 4]])
@pytest.mark.parametrize("column", ["image", "label"])
def test_arrow_values_outside_their_column_are_refused(tmp_path: Path, offsets: list[int], column: str):
    buffers = [None, pa.py_buffer(np.array(offsets, np.int32)), pa.py_buffer(b"four")]
    kind = pa.binary() if column == "image" else pa.string()
    spoilt = pa.Array.from_buffers(kind, 3, buffers)
    write_arrow(pa.table({"image": [b"x"] * 3, "label": [0] * 3, column: spoilt}), tmp_path)
    with pytest.raises(ValueError, match=f"a.arrow: {column}: corrupt"):
        READERS["arrow"](tmp_path)


def varint(number: int, length: int) -> bytes:
    groups = [(number << 1 >> 7 * i) & 127 for i in range(length)]  # doubled: Thrift's zigzag of a positive number
    return bytes([*(group | 128 for group in groups[:-1]), groups[-1]])


@pytest.mark.parametrize("codec", ["zstd", "gzip"])
@pytest.mark.parametrize("honest", [True, False])
def test_a_parquet_page_that_expands_without_bound_is_refused(tmp_path: Path, codec: str, honest: bool):
    file = tmp_path / "a.parquet"
    pq.write_table(pa.table({"image": [bytes(SPARE)], "label": [0]}), file, compression=codec)
    if not honest:
        size = pq.read_metadata(file).row_group(0).column(0).total_uncompressed_size
        head, number, tail = file.read_bytes().rpartition(varint(size, 4))
        file.write_bytes(head + varint(100, len(number)) + tail)
        assert pq.read_metadata(file).row_group(0).column(0).total_uncompressed_size == 100
    with pytest.raises(ValueError, match=r"a.parquet: image: row group 0: 80,000,\d\d\d bytes, compressed to"):
        READERS["parquet"](tmp_path).encoded(0)


def test_a_parquet_image_in_many_rows_is_held_once(tmp_path: Path):
    image = os.urandom(1_000_000)
    pq.write_table(pa.table({"image": [image] * 200, "label": [0] * 200}), tmp_path / "a.parquet")
    before = pa.total_allocated_bytes()
    faces = READERS["parquet"](tmp_path)
    assert faces.encoded(0) == faces.encoded(199) == image
    assert pa.total_allocated_bytes() - before < 20_000_000


@pytest.mark.parametrize("column", ["image", "label"])
def test_a_parquet_encoding_that_repeats_what_came_before_is_refused(tmp_path: Path, column: str):
    encoding = {column: "DELTA_BYTE_ARRAY"}
    pq.write_table(table(label="names"), tmp_path / "a.parquet", use_dictionary=False, column_encoding=encoding)
    with refused("a.parquet", "DELTA_BYTE_ARRAY", key=f"{column}: row group 0", allowed="plain, dictionary"):
        READERS["parquet"](tmp_path).encoded(0)


def test_more_parquet_rows_than_bytes_are_refused(tmp_path: Path):
    rows = 100_000
    empty = {"image": pa.nulls(rows, pa.binary()), "label": np.zeros(rows, np.int64)}
    pq.write_table(pa.table(empty), tmp_path / "a.parquet")
    with refused("a.parquet", "100,000 rows in", allowed="a byte or more for each row"):
        READERS["parquet"](tmp_path)


def test_parquet_pages_that_are_broken_are_refused_by_name(tmp_path: Path):
    file = tmp_path / "a.parquet"
    pq.write_table(table("struct", "names"), file)
    whole = file.read_bytes()
    for at in range(4, len(whole) - 8, len(whole) // 40):
        file.write_bytes(whole[:at] + bytes(8) + whole[at + 8 :])
        try:
            faces = READERS["parquet"](tmp_path)
            for row in range(len(faces.identity)):
                faces.encoded(row)
        except ValueError as error:
            assert "a.parquet" in str(error) and "\n" not in str(error)
