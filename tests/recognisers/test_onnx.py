"""ONNX networks: which are taken, which are refused, and what a graph does by itself."""

import sys
from pathlib import Path
from typing import Any

import networks
import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from torch import nn

from stages import recognisers
from stages.common.graphs import arithmetic_first


def faces(count: int = 4, side: int = 32) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, side, side, 3)).astype(np.uint8)


def load(file: Path, **card: Any):
    return recognisers.load("onnx", file, networks.write_card(file.with_name("card.json"), **card))


@pytest.mark.parametrize("batch", ["N", 1, 5])
def test_rows_are_those_of_onnxruntime(tmp_path: Path, batch: int | str):
    file = networks.write_onnx(tmp_path / "net.onnx", batch=batch)
    x = ((faces(5).astype(np.float32) - 127.5) / 127.5).transpose(0, 3, 1, 2)
    session = ort.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    parts = [x[i : i + 1] for i in range(5)] if batch == 1 else [x]
    expected = np.concatenate([np.asarray(session.run(None, {"image": part})[0]) for part in parts])
    np.testing.assert_allclose(load(file).embed(faces(5)), expected, rtol=1e-5, atol=1e-6)


def test_a_free_side_is_that_of_the_card(tmp_path: Path):
    file = networks.write_onnx(tmp_path / "net.onnx", sides=("h", "w"))
    assert load(file, size_px=48).embed(faces()).shape == (4, networks.D)
    with pytest.raises(ValueError, match="net.onnx: the side of its input is free"):
        load(file)


def test_a_column_of_norms_beside_the_rows_is_left_alone(tmp_path: Path):
    both = networks.write_onnx(tmp_path / "both.onnx", outputs=("norm", "rows"))
    rows = networks.write_onnx(tmp_path / "rows.onnx")
    np.testing.assert_array_equal(load(both).embed(faces()), load(rows).embed(faces()))


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ({"channels": 1}, "inputs image ['N', 1, 32, 32]; allowed: exactly one of shape (N, 3, h, w)"),
        ({"outputs": ("rows", "again")}, "outputs rows ['N', 24], again ['N', 24]; allowed: exactly one"),
        ({"outputs": ("map",)}, "allowed: exactly one of shape (N, d)"),
        ({"outputs": ("norm",)}, "outputs norm ['N', 1]; allowed: exactly one of shape (N, d)"),
        ({"first": [("Log", None)]}, "gives NaN or infinity for a blank face"),
    ],
)
def test_another_shape_is_one_line(tmp_path: Path, written: dict, said: str):
    file = networks.write_onnx(tmp_path / "net.onnx", **written)
    with pytest.raises(ValueError) as error:
        load(file)
    assert said in str(error.value) and str(file) in str(error.value) and "\n" not in str(error.value)


ARITHMETIC = {
    "insightface's old exports": [("Sub", 127.5), ("Mul", 0.0078125)],
    "cast first": [("Identity", None), ("Div", 255.0), ("Sub", [[[0.5]], [[0.5]], [[0.5]]])],
    "an offset": [("Add", -127.5)],
}


@pytest.mark.parametrize("first", ARITHMETIC.values(), ids=ARITHMETIC)
def test_a_graph_that_normalises_and_a_card_that_does_too_are_refused(tmp_path: Path, first: list):
    file = networks.write_onnx(tmp_path / "net.onnx", first=first)
    with pytest.raises(ValueError, match="the graph already normalises") as error:
        load(file)
    assert first[-1][0] in str(error.value) and "card.json" in str(error.value) and "\n" not in str(error.value)
    plain, meant = load(file, mean=0, std=1), load(file, mean=0, std=2, graph_normalises=True)
    assert np.abs(plain.embed(faces()) - meant.embed(faces())).max() > 1e-3


def test_it_does_not_matter_who_normalises(tmp_path: Path):
    graph = networks.write_onnx(tmp_path / "graph.onnx", first=[("Sub", 127.5), ("Mul", 0.0078125)])
    card = networks.write_onnx(tmp_path / "card.onnx")
    x = load(graph, mean=0, std=1).embed(faces())
    np.testing.assert_allclose(load(card, std=128).embed(faces()), x, rtol=1e-5, atol=1e-6)


class Normalising(nn.Module):
    """Normalises inside, as a wrapper around a network does."""

    def __init__(self, inside: bool) -> None:
        super().__init__()
        self.inside, self.net = inside, nn.Conv2d(3, 4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = (x[:, [2, 1, 0]] - 127.5) / 127.5 if self.inside else x
        return (self.net(x).mean((2, 3)) + 1) * 0.5  # arithmetic at the end is not meant


@pytest.mark.parametrize("inside", [True, False])
def test_torch_s_own_exports_are_seen_through(tmp_path: Path, inside: bool):
    file = tmp_path / "net.onnx"
    networks.export(Normalising(inside), file, 32)
    found = arithmetic_first(onnx.load(file).graph)
    assert found == (["Sub 127.5", "Div 127.5"] if inside else [])


def test_weights_in_another_file_are_refused(tmp_path: Path):
    file = networks.write_onnx(tmp_path / "net.onnx")
    onnx.save(onnx.load(file), file, save_as_external_data=True, location="net.onnx.data", size_threshold=0)
    with pytest.raises(ValueError, match="net.onnx: keeps its weights in another file; allowed: one file"):
        load(file)


@pytest.mark.parametrize("library", ["onnx", "onnxruntime"])
def test_a_library_that_is_missing_is_named_with_its_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str
):
    file = networks.write_onnx(tmp_path / "net.onnx")
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ValueError, match=rf"{library} is not installed; pip install -e '.\[published\]' brings it"):
        load(file)
