"""A network of ours as ONNX has the rows that it has here, for onnxruntime, for our own backend, for insightface."""

import itertools
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from torch import nn

from stages.common import artifacts, images, networks
from stages.common.errors import InputError
from stages.recognisers import onnx as recogniser
from stages.tools import export, export_network

CARDS: dict[str, dict[str, Any]] = {
    "compact": {"widths": [16, 16, 16, 16], "embedding_size": 12, "size_px": 32, "colour": "grey", "fold_stem": True},
    "plain": {"widths": [16, 16, 16, 16], "embedding_size": 12, "size_px": 64, "colour": "rgb"},
    "iresnet": {
        "widths": [8, 8, 8, 8], "blocks": [1, 1, 1, 1], "squeeze_excitation": True,
        "embedding_size": 12, "size_px": 112, "colour": "rgb", "frame_px": 112,
    },
}  # fmt: skip
CROP_PX = 112  # of ArcFace's template, as insightface cuts it


def write(folder: Path, name: str) -> Path:
    """Write a network with random weights and statistics."""
    torch.manual_seed(1)
    card = {"architecture": name, **CARDS[name]}
    net = networks.build(card)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) and module.running_mean is not None:
            module.running_mean.normal_(0, 0.1)
    networks.save(folder, net, card)
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a folder for each network, and its ONNX in NAME-onnx; one takes ArcFace's crops."""
    root = tmp_path_factory.mktemp("networks")
    for name in CARDS:
        export.main(["--to", "onnx", str(write(root / name, name)), str(root / f"{name}-onnx/net.onnx")])
    words = ["--to", "onnx", "--size-px", str(CROP_PX), str(root / "compact"), str(root / "crop-onnx/net.onnx")]
    export.main(words)
    return root


def faces(count: int, side_px: int) -> np.ndarray:
    """Return smooth faces, whose every level of grey occurs."""
    rng = np.random.default_rng(0)
    return images.resize(rng.integers(0, 256, (count, 9, 9, 3)).astype(np.uint8), side_px)


def rows(network: Path, x: np.ndarray, frame_px: float | None = None) -> np.ndarray:
    """Return the embeddings of faces in float32, with none of `Embedded.embed` but its parts."""
    ours = networks.load(network)
    x = ours.frame.of(x, frame_px)
    with torch.inference_mode():
        return ours.net(networks.standardised(images.grey(x) if ours.colour == "grey" else x, ours.colour)).numpy()


def run(file: Path, x: np.ndarray) -> np.ndarray:
    """Return the embeddings of faces as onnxruntime computes them from what recognition tools feed."""
    session = ort.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    scale = np.float32(1 / 127.5)  # OpenCV multiplies, and not every level comes back whole
    blob = ((x.astype(np.float32) - 127.5) * scale).transpose(0, 3, 1, 2)
    return np.asarray(session.run(["embeddings"], {"faces": blob})[0])


def cosine_error(a: np.ndarray, b: np.ndarray) -> float:
    """Return the largest distance of a cosine between rows of the same place from 1."""
    a, b = (x.astype(np.float64) / np.linalg.norm(x.astype(np.float64), axis=1, keepdims=True) for x in (a, b))
    return float(np.abs(1 - (a * b).sum(1)).max())


@pytest.mark.parametrize("name", CARDS)
def test_onnxruntime_has_our_rows(made: Path, name: str):
    x = faces(5, CARDS[name]["size_px"])
    expected = rows(made / name, x)
    assert np.abs(np.linalg.norm(expected, axis=1) - 1).min() > 0.05
    for part in (slice(0, 5), slice(3, 4)):  # any number of faces
        np.testing.assert_allclose(run(made / f"{name}-onnx/net.onnx", x[part]), expected[part], rtol=0, atol=1e-5)


def test_grey_is_rounded_as_ours_is(made: Path):
    """Of colours whose luma lies midway between two levels, as exactly as they come in."""
    colours = np.stack(np.meshgrid(*[np.arange(256)] * 2, np.arange(0, 256, 16)), -1).reshape(-1, 3)
    midway = colours[colours @ [9798, 19235, 3735] % 2**15 == 2**14].astype(np.uint8)
    x = np.random.default_rng(0).choice(midway, (4, 32, 32))
    np.testing.assert_allclose(run(made / "compact-onnx/net.onnx", x), rows(made / "compact", x), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", CARDS)
def test_our_own_backend_has_the_rows_of_faces_in_any_frame(made: Path, name: str):
    x, exported = faces(3, 80), recogniser.load(made / f"{name}-onnx")
    for frame_px in (None, 112, 136):
        np.testing.assert_allclose(exported.embed(x, frame_px), rows(made / name, x, frame_px), rtol=0, atol=1e-5)
    assert cosine_error(exported.embed(x), networks.load(made / name).embed(x)) < 3e-3  # bfloat16


def test_a_graph_that_takes_crops_cuts_the_network_s_frame_out_of_them(made: Path):
    x = faces(8, CROP_PX)
    expected = rows(made / "compact", x, 112)
    assert cosine_error(run(made / "crop-onnx/net.onnx", x), expected) < 1e-5
    assert cosine_error(recogniser.load(made / "crop-onnx").embed(x), expected) < 1e-5
    assert cosine_error(rows(made / "compact", x), expected) > 1e-3  # the frame matters


def test_the_file_is_one_and_says_what_it_is_and_nothing_of_this_machine(made: Path):
    folder = made / "compact-onnx"
    assert sorted(file.name for file in folder.iterdir()) == ["card.json", "net.onnx"]
    model = onnx.load(folder / "net.onnx", load_external_data=False)
    meta = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(meta.pop("network")) == artifacts.read_json(made / "compact/card.json")
    assert meta == {
        "colour": "rgb", "mean": "127.5", "std": "127.5", "frame_px": "136", "size_px": "32", "embedding_size": "12",
        "licence": "none",
    }  # fmt: skip
    assert {tensor.data_type for tensor in model.graph.initializer} <= {onnx.TensorProto.FLOAT, onnx.TensorProto.INT64}
    assert b".py" not in (folder / "net.onnx").read_bytes()


def test_an_export_has_the_same_bytes_again(made: Path, tmp_path: Path):
    export_network.write(made / "plain", tmp_path / "again.onnx", None)
    assert (tmp_path / "again.onnx").read_bytes() == (made / "plain-onnx/net.onnx").read_bytes()


@pytest.mark.filterwarnings("ignore")  # of insightface and what it imports
@pytest.mark.parametrize(("name", "network"), [("iresnet", "iresnet"), ("crop", "compact")])
def test_insightface_has_our_rows(made: Path, name: str, network: str):
    model = pytest.importorskip("insightface").model_zoo.get_model(str(made / f"{name}-onnx/net.onnx"))
    x = faces(4, CROP_PX)
    bgr = [np.ascontiguousarray(face[..., ::-1]) for face in x]
    assert cosine_error(model.get_feat(bgr), rows(made / network, x, 112)) < 1e-5


@pytest.mark.parametrize("name", [*CARDS, "crop"])
def test_insightface_takes_no_name_for_a_normalisation(made: Path, name: str):
    """With Sub and Mul among the first names it would feed pixels as they are."""
    nodes = itertools.islice(onnx.load(made / f"{name}-onnx/net.onnx").graph.node, 8)
    assert not [node.name for node in nodes if node.name.startswith(("Sub", "_minus"))]


def refused(*words: Path | str) -> InputError:
    with pytest.raises(InputError) as error:
        export.main(["--to", "onnx", *map(str, words)])
    assert "\n" not in str(error.value)
    return error.value


def test_what_is_no_recogniser_of_ours_is_refused(made: Path, tmp_path: Path):
    error = refused(tmp_path, tmp_path / "net.onnx")
    assert (error.file, error.problem) == (str(tmp_path), "no network of ours")
    assert refused(made / "plain-onnx", tmp_path / "net.onnx").problem == "no network of ours"
    artifacts.write_weights(tmp_path / "inverter", {"x": torch.ones(1)}, {"architecture": "inverter"})
    assert refused(tmp_path / "inverter", tmp_path / "net.onnx").key == "widths"
    assert refused(tmp_path / "nowhere", tmp_path / "net.onnx").problem == "no network of ours"
    assert [file.name for file in tmp_path.iterdir()] == ["inverter"]


def test_the_file_has_the_name_by_which_it_is_read(made: Path, tmp_path: Path):
    assert refused(made / "plain", tmp_path / "net").allowed == "NAME.onnx"


def test_nothing_is_overwritten(made: Path, tmp_path: Path):
    (tmp_path / "net.onnx").touch()
    assert refused(made / "plain", tmp_path / "net.onnx").file == str(tmp_path / "net.onnx")
    (tmp_path / "card.json").touch()
    assert refused(made / "plain", tmp_path / "other.onnx").file == str(tmp_path / "card.json")
    assert not (tmp_path / "other.onnx").exists()


@pytest.mark.parametrize("library", ["onnx", "onnxscript"])
def test_a_missing_library_is_one_line(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str):
    monkeypatch.setitem(sys.modules, library, None)
    error = refused(made / "plain", tmp_path / "net.onnx")
    assert error.problem == f"{library} is not installed; pip install -e '.[published]' brings it"
    assert not list(tmp_path.iterdir())
