"""Writes are atomic, reads are checked."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from refusal import refused

from stages.common import artifacts, sphere
from stages.common.errors import InputError


def rows(n: int = 5, d: int = 8) -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(0).standard_normal((n, d)).astype(np.float32)
    return sphere.unit_rows(x), np.linalg.norm(x, axis=1)


def test_rows_come_back_as_they_went(tmp_path: Path):
    x, norms = rows()
    artifacts.write_rows(tmp_path, "x", x, norms)
    back, back_norms = artifacts.read_rows(tmp_path, "x", d=8)
    assert np.array_equal(x, back) and np.array_equal(norms.astype(np.float32), back_norms)


def test_bad_rows_are_refused(tmp_path: Path):
    x, norms = rows()
    spoilt = x.copy()
    spoilt[3] *= 1.1
    nan = x.copy()
    nan[1, 1] = np.nan
    length = "1 to 0.001"
    for bad, bad_norms, name, key, allowed in (
        (spoilt, norms, "x", "row 3", length),
        (nan, norms, "x", "", "finite numbers"),
        (x.astype(np.float32), norms[:3], "x_norms", "", "(5,), a norm for each row"),
        (x, -norms, "x_norms", f"row {norms.argmax()}", "above 0"),
        (x, norms * [1, 1, 0, 1, 1], "x_norms", "row 2", "above 0"),
        (x * np.float32(1e30), norms, "x", "row 0", length),
        (x[0], norms, "x", "", "float32 rows (n, d)"),
    ):
        artifacts.write_rows(tmp_path, "x", bad, bad_norms)
        with pytest.raises(InputError) as caught:
            artifacts.read_rows(tmp_path, "x")
        error = caught.value
        assert (error.file, error.key, error.allowed) == (f"{tmp_path / name}.npy", key, allowed)
        assert "\n" not in str(error)
    artifacts.write_rows(tmp_path, "x", x, norms)
    with pytest.raises(InputError) as caught:
        artifacts.read_rows(tmp_path, "x", d=512)
    assert (caught.value.key, caught.value.value, caught.value.allowed) == ("embedding size", 8, "512")


def test_joined_arrays_are_the_bytes_of_the_whole_one(tmp_path: Path):
    x, _ = rows(7)
    parts = [tmp_path / f"{i}.npy" for i in range(3)]
    for file, part in zip(parts, np.split(x, [3, 3]), strict=True):
        artifacts.write_array(file, part)
    changes: list[Callable[[np.ndarray], np.ndarray]] = [np.asarray, np.negative, lambda part: part[:, 0].astype(float)]
    for change in changes:
        artifacts.join_arrays(tmp_path / "joined.npy", parts, change)
        artifacts.write_array(tmp_path / "whole.npy", change(x))
        assert (tmp_path / "joined.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()


def test_a_part_whose_rows_have_no_direction_is_named(tmp_path: Path):
    parts = [tmp_path / f"{number}.npy" for number in range(2)]
    for part, x in zip(parts, (np.eye(3), np.diag([1.0, 0.0])), strict=True):
        artifacts.write_array(part, x)
    with refused(parts[1], "row 1 has length zero"):
        artifacts.join_arrays(tmp_path / "joined.npy", parts, sphere.unit_rows)
    assert not (tmp_path / "joined.npy").exists()


def test_a_missing_a_truncated_and_a_pickled_array_are_refused(tmp_path: Path):
    x, norms = rows()
    file = tmp_path / "x.npy"
    with pytest.raises(ValueError, match="no such file"):
        artifacts.read_rows(tmp_path, "x")
    artifacts.write_rows(tmp_path, "x", x, norms)
    file.write_bytes(file.read_bytes()[:-7])
    with pytest.raises(ValueError, match="not a readable .npy file"):
        artifacts.read_rows(tmp_path, "x")
    np.save(file, np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="not a readable .npy file"):
        artifacts.read_rows(tmp_path, "x")


NPY = "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }\n"


@pytest.mark.parametrize(
    "header",
    [
        NPY % ("<f4", "1000000000000,"),
        NPY % ("<f4", "0, 1"),
        NPY % ("<f4", "9" * 5000),
        NPY % ("<f4", "-1,"),
        NPY % ("<f4", "1," * 100),
        NPY % ("<f3", "1,"),
        NPY % ("|O", "1,"),
        NPY % ("<f4", "(" * 500),
        "{'descr': " + "[" * 5000,
        "(" * 9000,
        "{'descr': '" + "''",
        "\0" * 100,
        "",
    ],
    ids=lambda header: header[:60],
)
@pytest.mark.parametrize("version", [1, 2, 3, 9])
def test_a_header_that_promises_what_is_not_there_is_refused(tmp_path: Path, header: str, version: int):
    file = tmp_path / "x.npy"
    length = len(header).to_bytes(2 if version == 1 else 4, "little")
    file.write_bytes(b"\x93NUMPY" + bytes([version, 0]) + length + header.encode() + b"x")
    with pytest.raises(InputError, match="not a readable .npy file") as error:
        artifacts.read_array(file)
    assert error.value.file == str(file) and len(str(error.value)) < 300


@pytest.mark.parametrize("data", [b"", b"PK\3\4abc", b"\x93NUMPY", b"\x93NUMPY\1\0", b"\x93NUMPY\2\0\xff\xff\xff\xff"])
def test_what_is_no_npy_file_is_refused(tmp_path: Path, data: bytes):
    (tmp_path / "x.npy").write_bytes(data)
    with pytest.raises(InputError, match="x.npy: not a readable .npy file"):
        artifacts.read_array(tmp_path / "x.npy")


@pytest.mark.parametrize(
    "x",
    [np.float32(3), np.arange(5), np.zeros((0, 8), "f4"), np.eye(3, 4).T, np.array([True]), np.ones(3, ">i2")],
    ids=lambda x: f"{x.dtype}{x.shape}",
)
def test_arrays_of_all_kinds_are_read(tmp_path: Path, x: np.ndarray):
    np.save(tmp_path / "x.npy", x)
    back = artifacts.read_array(tmp_path / "x.npy")
    assert np.array_equal(back, x) and back.dtype == x.dtype and back.shape == x.shape


@pytest.mark.parametrize(
    "text",
    [
        b"[" * 100_000,
        b'{"a": ' * 100_000,
        b'{"a": NaN}',
        b"[-Infinity]",
        b"[1e999]",
        b"9" * 5000,
        b'"\xff"',
        b"",
        b"\0",
    ],
    ids=lambda text: text[:12].decode("latin-1"),
)
def test_json_that_is_deep_endless_or_no_text_is_refused(tmp_path: Path, text: bytes):
    (tmp_path / "x.json").write_bytes(text)
    with pytest.raises(InputError, match="x.json: not valid JSON") as error:
        artifacts.read_json(tmp_path / "x.json")
    assert len(str(error.value)) < 300 and "\n" not in str(error.value)


def test_json_of_any_encoding_is_read_and_of_any_length_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / "x.json"
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        file.write_bytes('{"a": "é"}'.encode(encoding))
        assert artifacts.read_mapping(file, "a") == {"a": "é"}
    with pytest.raises(InputError) as error:
        artifacts.read_mapping(file, "a", "b")
    assert (error.value.file, error.value.key, error.value.problem) == (str(file), "b", "missing")
    file.write_text("[1]")
    with pytest.raises(InputError) as error:
        artifacts.read_mapping(file)
    assert (error.value.problem, error.value.allowed) == ("holds a JSON list", "an object")
    monkeypatch.setattr(artifacts, "JSON_BYTES", 2)
    with pytest.raises(InputError) as error:
        artifacts.read_json(file)
    assert error.value.allowed == "at most 2"


def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path: Path):
    folder = tmp_path / "out"
    with artifacts.output_folder(folder) as fresh:
        (fresh / "old").write_text("kept")
    with pytest.raises(RuntimeError, match="stop"), artifacts.output_folder(folder) as fresh:
        (fresh / "new").write_text("lost")
        raise RuntimeError("stop")
    assert [file.name for file in folder.iterdir()] == ["old"]
    with artifacts.output_folder(folder) as fresh:
        (fresh / "new").write_text("now")
    assert [file.name for file in folder.iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [folder]


def test_json_holds_no_nan_and_few_digits(tmp_path: Path):
    file = tmp_path / "x.json"
    artifacts.write_json(file, {"a": np.float32(1 / 3), "b": [np.int64(2)], "c": True})
    assert artifacts.read_json(file) == {"a": 0.333333, "b": [2], "c": True}
    with pytest.raises(ValueError, match="[Oo]ut of range"):
        artifacts.write_json(file, {"a": float("nan")})
    assert artifacts.read_json(file)["b"] == [2]
    file.write_text("{")
    with pytest.raises(ValueError, match="not valid JSON"):
        artifacts.read_json(file)


def test_weights_come_back_and_their_card_guards_them(tmp_path: Path):
    artifacts.write_weights(tmp_path / "net", {"w": torch.tensor([[1.5, -2.0]])}, {"architecture": "none"})
    tensors, card = artifacts.read_weights(tmp_path / "net")
    assert tensors["w"].dtype == torch.float32 and tensors["w"].tolist() == [[1.5, -2.0]]
    assert card["architecture"] == "none"
    file = tmp_path / "net/weights.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(ValueError, match="sha256 differs"):
        artifacts.read_weights(tmp_path / "net")


@pytest.mark.parametrize("text", ["a\n  b", "x" * 5000, "two words " * 500, "\n" * 5000, "", "y" * 120])
def test_a_quoted_value_is_one_short_line_that_begins_as_it_does(text: str):
    shortened = artifacts.brief(text)
    assert len(shortened) <= 120 and "\n" not in shortened and shortened[:100] == " ".join(text.split())[:100]
