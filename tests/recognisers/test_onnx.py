"""ONNX networks: which are taken, which are refused, and what a graph does by itself."""

import hashlib
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nets
import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from torch import nn

from stages.foreign import graphs
from stages.foreign.graphs import arithmetic_first
from stages.recognisers import onnx as recogniser


def faces(count: int = 4, side: int = 32) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, side, side, 3)).astype(np.uint8)


def load(file: Path, **card: Any):
    nets.write_card(file.with_name("card.json"), **card)
    return recogniser.load(file.parent)


@pytest.mark.parametrize("batch", ["N", 1, 5])
def test_rows_are_those_of_onnxruntime(tmp_path: Path, batch: int | str):
    file = nets.write_onnx(tmp_path / "net.onnx", batch=batch)
    x = ((faces(5).astype(np.float32) - 127.5) / 127.5).transpose(0, 3, 1, 2)
    session = ort.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    parts = [x[i : i + 1] for i in range(5)] if batch == 1 else [x]
    expected = np.concatenate([np.asarray(session.run(None, {"image": part})[0]) for part in parts])
    np.testing.assert_allclose(load(file).embed(faces(5)), expected, rtol=1e-5, atol=1e-6)


def test_a_free_side_is_that_of_the_card(tmp_path: Path):
    file = nets.write_onnx(tmp_path / "net.onnx", sides=("h", "w"))
    assert load(file, size_px=48).embed(faces()).shape == (4, nets.D)
    with pytest.raises(ValueError, match="net.onnx: the side of its input is free"):
        load(file)


def test_a_column_of_norms_beside_the_rows_is_left_alone(tmp_path: Path):
    with_norm = nets.write_onnx(tmp_path / "both/net.onnx", outputs=("norm", "rows"))
    rows = nets.write_onnx(tmp_path / "rows/net.onnx")
    np.testing.assert_array_equal(load(with_norm).embed(faces()), load(rows).embed(faces()))


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({"channels": 1}, "inputs image ['N', 1, 32, 32]; allowed: exactly one of shape (N, 3, h, w)"),
        ({"outputs": ("rows", "again")}, "outputs rows ['N', 24], again ['N', 24]; allowed: exactly one"),
        ({"outputs": ("map",)}, "allowed: exactly one of shape (N, d)"),
        ({"outputs": ("norm",)}, "outputs norm ['N', 1]; allowed: exactly one of shape (N, d)"),
        ({"first": [("Log", None)]}, "gives NaN or infinity for a blank face"),
    ],
)
def test_another_shape_is_one_line(tmp_path: Path, written: dict, message: str):
    file = nets.write_onnx(tmp_path / "net.onnx", **written)
    with pytest.raises(ValueError) as error:
        load(file)
    assert message in str(error.value) and str(file) in str(error.value) and "\n" not in str(error.value)


ARITHMETIC = {
    "insightface's old exports": [("Sub", 127.5), ("Mul", 0.0078125)],
    "cast first": [("Identity", None), ("Div", 255.0), ("Sub", [[[0.5]], [[0.5]], [[0.5]]])],
    "an offset": [("Add", -127.5)],
}


@pytest.mark.parametrize("first", ARITHMETIC.values(), ids=ARITHMETIC)
def test_a_graph_that_normalises_and_a_card_that_does_too_are_refused(tmp_path: Path, first: list):
    file = nets.write_onnx(tmp_path / "net.onnx", first=first)
    with pytest.raises(ValueError, match="the graph already normalises") as error:
        load(file)
    assert first[-1][0] in str(error.value) and "card.json" in str(error.value) and "\n" not in str(error.value)
    plain, meant = load(file, mean=0, std=1), load(file, mean=0, std=2, graph_normalises=True)
    assert np.abs(plain.embed(faces()) - meant.embed(faces())).max() > 1e-3


def test_it_does_not_matter_who_normalises(tmp_path: Path):
    graph = nets.write_onnx(tmp_path / "graph/net.onnx", first=[("Sub", 127.5), ("Mul", 0.0078125)])
    card = nets.write_onnx(tmp_path / "card/net.onnx")
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
    nets.export(Normalising(inside), file, 32)
    steps = arithmetic_first(onnx.load(file).graph)
    assert steps == (["Sub 127.5", "Div 127.5"] if inside else [])


def two_files(folder: Path, seed: int = 0) -> Path:
    """Write a graph with its weights beside it, as torch's exporter does."""
    file = nets.write_onnx(folder / "net.onnx", seed=seed)
    onnx.save(onnx.load(file), file, save_as_external_data=True, location="net.onnx.data", size_threshold=0)
    return file


def test_weights_beside_the_graph_are_read_and_are_part_of_the_digest(tmp_path: Path):
    expected = load(nets.write_onnx(tmp_path / "net.onnx")).embed(faces())
    file = two_files(tmp_path / "two")
    digest = hashlib.sha256(file.read_bytes() + file.with_name("net.onnx.data").read_bytes()).hexdigest()
    np.testing.assert_array_equal(load(file, sha256=digest).embed(faces()), expected)
    data = file.with_name("net.onnx.data")
    data.write_bytes(data.read_bytes()[:-4] + b"\0\0\0\1")
    with pytest.raises(ValueError, match="net.onnx: sha256 differs from the one in its card"):
        load(file, sha256=digest)
    data.unlink()
    with pytest.raises(
        ValueError, match="net.onnx: keeps weights in 'net.onnx.data'; allowed: .* files that lie beside"
    ):
        load(file)


def elsewhere(graph: Any, location: str) -> None:
    for tensor in graph.initializer:
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=location)


def in_a_constant(graph: Any, location: str) -> None:
    tensor = graph.initializer.pop()
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.ClearField("raw_data")
    tensor.external_data.add(key="location", value=location)
    graph.node.insert(0, onnx.helper.make_node("Constant", [], [tensor.name], value=tensor))


def in_a_branch(graph: Any, location: str) -> None:
    inner = onnx.helper.make_graph([], "inner", [], [])
    inner.initializer.append(graph.initializer[0])
    elsewhere(inner, location)
    graph.node.append(onnx.helper.make_node("If", ["yes"], ["z"], then_branch=inner, else_branch=inner))


@pytest.mark.parametrize("place", [elsewhere, in_a_constant, in_a_branch])
@pytest.mark.parametrize("location", ["../secret", "/etc/passwd", "inner/secret", "", "link"])
def test_weights_that_do_not_lie_beside_the_graph_are_refused_wherever_they_are_named(
    tmp_path: Path, place: Callable[[Any, str], None], location: str
):
    (tmp_path / "net").mkdir()
    (tmp_path / "secret").write_bytes(bytes(100_000))
    (tmp_path / "net/link").symlink_to("../secret")
    model = onnx.load(nets.write_onnx(tmp_path / "net/net.onnx"))
    place(model.graph, location)
    (tmp_path / "net/net.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ValueError, match=f"net.onnx: keeps weights in '{location}'; allowed: in itself, or in files"):
        graphs.header(tmp_path / "net/net.onnx")


def wrapped(file: Path, nodes: list[Any], shape: list[Any], constants: dict[str, Any] | None = None) -> Path:
    """Write a graph of an image (N, 3, 32, 32) whose nodes make `y` of it."""
    stored = {"w": np.ones((3, 8), np.float32), **(constants or {})}
    first = [
        onnx.helper.make_node("GlobalAveragePool", ["image"], ["p"]),
        onnx.helper.make_node("Flatten", ["p"], ["f"]),
    ]
    graph = onnx.helper.make_graph(
        [*first, onnx.helper.make_node("MatMul", ["f", "w"], ["r"]), *nodes], "g",
        [onnx.helper.make_tensor_value_info("image", 1, ["N", 3, 32, 32])],
        [onnx.helper.make_tensor_value_info("y", 1, shape)],
        [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in stored.items()],
    )  # fmt: skip
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8), file)
    return file


def node(operator: str, inputs: str, output: str, **attributes: Any) -> Any:
    return onnx.helper.make_node(operator, inputs.split(), [output], **attributes)


ONE_ROW = {"shape": np.array([1, -1])}
ONE_AT_A_TIME = {
    "another shape": ([node("Reshape", "r shape", "y")], ONE_ROW),
    "an error": ([node("Reshape", "r shape", "one"), node("MatMul", "one square", "y")],
                 {**ONE_ROW, "square": np.eye(8, dtype=np.float32)}),
    "rows that depend on each other": ([node("ReduceSum", "r axis", "s", keepdims=1), node("Add", "r s", "y")],
                                       {"axis": np.array([0])}),
}  # fmt: skip


@pytest.mark.parametrize("name", ONE_AT_A_TIME)
def test_a_batch_that_is_free_in_name_only_is_given_one_face_a_call(tmp_path: Path, name: str):
    nodes, constants = ONE_AT_A_TIME[name]
    rows = load(wrapped(tmp_path / "net.onnx", nodes, ["N", 8], constants)).embed(faces())
    alone = load(wrapped(tmp_path / "net.onnx", nodes, ["N", 8], constants))
    np.testing.assert_array_equal(rows, np.concatenate([alone.embed(face[None]) for face in faces()]))
    assert rows.shape == (4, 8) and np.ptp(rows, axis=0).min() > 0


def test_rows_may_have_two_more_axes_of_one(tmp_path: Path):
    plain = load(wrapped(tmp_path / "net.onnx", [node("Identity", "r", "y")], ["N", 8])).embed(faces())
    four = wrapped(
        tmp_path / "net.onnx", [node("Unsqueeze", "r axes", "y")], ["N", 8, 1, 1], {"axes": np.array([2, 3])}
    )
    np.testing.assert_array_equal(load(four).embed(faces()), plain)
    assert graphs.header(four)["embedding_size"] == 8


def loop(operator: str) -> Any:
    body = onnx.helper.make_graph([], "body", [], [])
    return node(operator, "", "z", body=body)


def nested(_: str) -> Any:
    branch = onnx.helper.make_graph([loop("Loop")], "branch", [], [])
    return node("If", "yes", "z", then_branch=branch, else_branch=branch)


@pytest.mark.parametrize("looping", [loop("Loop"), loop("Scan"), nested("")], ids=["Loop", "Scan", "nested"])
def test_a_graph_that_loops_is_refused(tmp_path: Path, looping: Any):
    file = wrapped(tmp_path / "net.onnx", [node("Identity", "r", "y"), looping], ["N", 8])
    with pytest.raises(ValueError, match="net.onnx: has a (Loop|Scan); allowed: graphs that do as much for every face"):
        load(file)


def large(side: int, kernel: int) -> tuple[list[Any], dict[str, Any]]:
    """Convolve an image of equal pixels: 2 (side - kernel + 1)^2 kernel^2 operations in 4 side^2 bytes."""
    nodes = [node("Expand", "one sides", "x"), node("Expand", "one kernel", "k"), node("Conv", "x k", "z")]
    nodes += [node("ReduceMean", "z", "mean", keepdims=0), node("Add", "r mean", "y")]
    one = np.full((1, 1, 1, 1), 1e-3, np.float32)
    return nodes, {"one": one, "sides": np.array([1, 1, side, side]), "kernel": np.array([1, 1, kernel, kernel])}


@pytest.mark.parametrize(
    ("side", "kernel", "message"), [(30_000, 1, "takes more than 256 MB"), (2000, 1000, "takes more than its 1 s")]
)
def test_a_small_file_cannot_take_much_memory_or_time(tmp_path: Path, side: int, kernel: int, message: str):
    nodes, constants = large(side, kernel)
    file = wrapped(tmp_path / "net.onnx", nodes, ["N", 8], constants)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match=f"net.onnx: {message}"):
        load(file)
    assert file.stat().st_size < 30_000 and resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < before + 100_000


@pytest.mark.parametrize("change", [{"ir_version": 99}, {"opset": 99}, {"domain": "made.up"}])
def test_a_graph_that_onnxruntime_does_not_know_is_refused_with_the_whole_reason(
    tmp_path: Path, capfd: pytest.CaptureFixture, change: dict[str, Any]
):
    file = nets.write_onnx(tmp_path / "net.onnx")
    model = onnx.load(file)
    model.ir_version = change.get("ir_version", 8)
    model.opset_import[0].version = change.get("opset", 17)
    model.graph.node[0].domain = change.get("domain", "")
    file.write_bytes(model.SerializeToString())
    with pytest.raises(ValueError, match="net.onnx: not a network that onnxruntime runs: ") as error:
        load(file)
    messages = {"ir_version": "max supported IR version", "opset": "opset", "domain": "made.up"}
    assert messages[next(iter(change))] in str(error.value) and "\n" not in str(error.value)
    assert len(str(error.value)) < 400 and capfd.readouterr() == ("", "")


@pytest.mark.parametrize("library", ["onnx", "onnxruntime"])
def test_a_library_that_is_missing_is_named_with_its_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str
):
    file = nets.write_onnx(tmp_path / "net.onnx")
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ValueError, match=rf"{library} is not installed; pip install -e '.\[published\]' brings it"):
        load(file)
