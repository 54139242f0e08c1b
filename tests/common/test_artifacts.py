"""Writes are atomic, reads are checked."""

from pathlib import Path

import numpy as np
import pytest
import torch

from stages.common import artifacts, sphere


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
    for bad, bad_norms, said in (
        (spoilt, norms, "row 3 has length"),
        (nan, norms, "NaN or infinity"),
        (x.astype(np.float32), norms[:3], "expected 5 positive norms"),
        (x[0], norms, "expected float32 rows"),
    ):
        artifacts.write_rows(tmp_path, "x", bad, bad_norms)
        with pytest.raises(ValueError, match=said) as error:
            artifacts.read_rows(tmp_path, "x")
        assert "x.npy" in str(error.value) and "\n" not in str(error.value)
    artifacts.write_rows(tmp_path, "x", x, norms)
    with pytest.raises(ValueError, match="embedding size 8; allowed: 512"):
        artifacts.read_rows(tmp_path, "x", d=512)


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
    file = tmp_path / "net.safetensors"
    artifacts.write_weights(file, {"w": torch.tensor([[1.5, -2.0]])}, {"architecture": "none"})
    tensors, card = artifacts.read_weights(file)
    assert tensors["w"].dtype == torch.float32 and tensors["w"].tolist() == [[1.5, -2.0]]
    assert card["architecture"] == "none"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(ValueError, match="sha256 differs"):
        artifacts.read_weights(file)
