"""Tables are mapped, so whatever their bytes say is looked at before it is used."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from stages.common import tables
from stages.common.errors import InputError

FLAT = pa.schema([("name", pa.string()), ("row", pa.int32())])


def write(file: Path, table: pa.Table, new=pa.ipc.new_file, compression: str | None = None) -> Path:
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.OSFile(str(file), "wb") as sink, new(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    return file


def strings(offsets: list[int], text: bytes = b"anna") -> pa.Array:
    buffers = [None, pa.py_buffer(np.array(offsets, np.int32)), pa.py_buffer(text)]
    return pa.Array.from_buffers(pa.string(), len(offsets) - 1, buffers)


@pytest.mark.parametrize("new", [pa.ipc.new_file, pa.ipc.new_stream])
@pytest.mark.parametrize("compression", [None, "lz4", "zstd"])
def test_files_and_streams_come_back_with_their_metadata(tmp_path: Path, new, compression: str | None):
    table = pa.table({"name": ["anna", "bert"], "row": pa.array([1, 2], pa.int32())}).replace_schema_metadata(
        {"a": "b"}
    )
    back = tables.read(write(tmp_path / "a.arrow", table, new, compression), FLAT)
    assert back.equals(table) and back.schema.metadata == {b"a": b"b"}


@pytest.mark.parametrize(
    "names",
    [
        strings([0, 4, 2, 4]),
        strings([0, -5, 2, 4]),
        strings([0, -(2**31), 2, 4]),
        strings([0, 2**30, 2, 4]),
        strings([0, 2, 3, 4], b"\xff\xfe\xff\xfe"),
    ],
    ids=["falling", "negative", "far below", "far beyond", "no UTF-8"],
)
def test_text_outside_its_column_is_refused(tmp_path: Path, names: pa.Array):
    file = write(tmp_path / "a.arrow", pa.table([names, pa.array([0, 1, 2], pa.int32())], FLAT))
    with pytest.raises(InputError, match="corrupt") as error:
        tables.read(file, FLAT)
    assert (error.value.file, error.value.key) == (str(file), "name") and "\n" not in str(error.value)


NUMBERED = pa.schema([("name", pa.dictionary(pa.int8(), pa.string()))])


def test_words_come_back_from_parts_that_number_them_otherwise(tmp_path: Path):
    parts = [tables.of(NUMBERED, {"name": names}) for names in (["anna", "bert"], ["carl", "anna"])]
    tables.write(tmp_path / "a.arrow", pa.concat_tables(parts))
    assert tables.read(tmp_path / "a.arrow", NUMBERED)["name"].to_pylist() == ["anna", "bert", "carl", "anna"]


def test_the_number_of_no_word_is_refused(tmp_path: Path):
    column = pa.DictionaryArray.from_arrays(pa.array([0, 2, 0], pa.int8()), ["anna", "bert"], safe=False)
    file = write(tmp_path / "a.arrow", pa.table([column], NUMBERED))
    with pytest.raises(InputError, match="a.arrow: name: corrupt"):
        tables.read(file, NUMBERED)


def test_a_missing_value_is_refused_where_none_may_be(tmp_path: Path):
    file = write(tmp_path / "a.arrow", pa.table({"name": ["anna"], "row": [None]}, FLAT))
    assert tables.read(file, FLAT, nullable=("row",))["row"].to_pylist() == [None]
    with pytest.raises(InputError) as error:
        tables.read(file, FLAT)
    assert (error.value.file, error.value.key, error.value.allowed) == (str(file), "row", "none")


@pytest.mark.parametrize(
    "column",
    [
        pa.Array.from_buffers(pa.null(), 2**31 - 1, [None]),
        pa.RunEndEncodedArray.from_arrays(pa.array([2**31 - 1]), pa.array([1.0])),
        pa.array([[1.0]]),
        pa.array(["anna"]).dictionary_encode(),
    ],
    ids=lambda column: str(column.type)[:12],
)
def test_columns_that_a_few_bytes_can_make_endless_are_refused(tmp_path: Path, column: pa.Array):
    file = write(tmp_path / "a.arrow", pa.table({"seed_0": column}))
    with pytest.raises(InputError) as error:
        tables.read(file)
    assert (error.value.key, error.value.allowed) == ("seed_0", "numbers, text or bytes")


@pytest.mark.parametrize("new", [pa.ipc.new_file, pa.ipc.new_stream])
@pytest.mark.parametrize("dictionary", [False, True])
def test_what_expands_without_bound_is_refused_before_it_does(tmp_path: Path, new, dictionary: bool):
    column = pa.array(["a" * 10**8])
    file = write(
        tmp_path / "a.arrow", pa.table({"name": column.dictionary_encode() if dictionary else column}), new, "zstd"
    )
    del column
    before = pa.default_memory_pool().bytes_allocated()
    with pytest.raises(InputError, match=r"a.arrow: 100,000,\d\d\d bytes, compressed to"):
        tables.mapped(file)
    assert pa.default_memory_pool().bytes_allocated() - before < 10**7


def test_two_columns_of_one_name_are_refused(tmp_path: Path):
    file = write(tmp_path / "a.arrow", pa.table([pa.array([1]), pa.array([2])], ["label", "label"]))
    with pytest.raises(InputError) as error:
        tables.mapped(file)
    assert (error.value.file, error.value.key, error.value.allowed) == (str(file), "label", "one")


@pytest.mark.parametrize("new", [pa.ipc.new_file, pa.ipc.new_stream])
def test_what_is_cut_short_is_refused(tmp_path: Path, new):
    file = write(tmp_path / "a.arrow", pa.table({"name": ["anna"] * 9, "row": range(9)}, FLAT), new)
    whole = file.read_bytes()
    for length in (0, 5, 9, 100, len(whole) // 2, len(whole) - 9, len(whole) - 1):
        file.write_bytes(whole[:length])
        with pytest.raises(InputError, match="a.arrow: truncated"):
            tables.read(file)
