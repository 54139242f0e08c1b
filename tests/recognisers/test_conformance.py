"""What every recogniser promises, whatever its backend and the layout of its file."""

import json
import shutil
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import nets
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tiny import ROOT

from stages.backbones.compact import Compact
from stages.backbones.iresnet import Iresnet
from stages.common import artifacts, networks
from stages.common.errors import InputError
from stages.common.networks import Recogniser
from stages.foreign import published
from stages.foreign.state_dicts import arcface_layout

EMBEDDED = {"architecture": "compact", "widths": [8, 8, 8, 8], "embedding_size": 24, "size_px": 32, "colour": "rgb"}


def own(architecture: str, **more: object) -> Callable[[Path], tuple[str, Path]]:
    def write(folder: Path) -> tuple[str, Path]:
        card = {**EMBEDDED, "architecture": architecture, **more}
        torch.manual_seed(0)
        networks.save(folder / "net", networks.build(card), card)
        return "embedded", folder / "net" / artifacts.WEIGHTS

    return write


def onnx(batch: int | str) -> Callable[[Path], tuple[str, Path]]:
    return lambda folder: ("onnx", nets.write_onnx(folder / "net.onnx", batch=batch))


def arcface(folder: Path) -> tuple[str, Path]:
    tensors = arcface_layout("", {k: v for k, v in nets.adaface().items() if v.ndim})
    torch.save({f"module.{key}": value for key, value in tensors.items()}, folder / "backbone.pth")
    return "iresnet", folder / "backbone.pth"


def lightning(folder: Path) -> tuple[str, Path]:
    tensors = {f"model.{key}": value for key, value in nets.adaface(se=True).items()}
    tensors["head.kernel"] = torch.zeros(24, 5)
    torch.save({"state_dict": tensors, "epoch": 3}, folder / "adaface.ckpt")
    return "iresnet", folder / "adaface.ckpt"


def cvlface(folder: Path) -> tuple[str, Path]:
    torch.save({f"net.{key}": value for key, value in nets.adaface().items()}, folder / "model.pt")
    return "iresnet", folder / "model.pt"


def hugging_face(folder: Path) -> tuple[str, Path]:
    save_file({f"model.net.{k}": v for k, v in nets.adaface().items()}, folder / "model.safetensors")
    return "iresnet", folder / "model.safetensors"


WRITERS = {
    "embedded": own("compact"),
    "embedded folded": own("compact", fold_stem=True),
    "embedded iresnet": own("iresnet", blocks=[1, 2, 1, 1], squeeze_excitation=True),
    "onnx, free batch": onnx("N"),
    "onnx, batch of 1": onnx(1),
    "onnx, batch of 3": onnx(3),
    "arcface_torch": arcface,
    "AdaFace": lightning,
    "CVLface": cvlface,
    "CVLface, safetensors": hugging_face,
}


def load(name: str, folder: Path, **card: object) -> Recogniser:
    backend, weights = WRITERS[name](folder)
    if backend != "embedded":
        nets.write_card(weights.parent / "card.json", **card)
    return read(backend, weights.parent)


def read(backend: str, folder: Path) -> Recogniser:
    return import_module(f"stages.recognisers.{backend}").load(folder)


@pytest.fixture(params=[*WRITERS, "dlib"])
def recogniser(request: pytest.FixtureRequest, tmp_path: Path) -> Recogniser:
    if request.param != "dlib":
        return load(request.param, tmp_path)
    pytest.importorskip("dlib")  # an extra of its own
    return read("dlib", tmp_path)


def faces(count: int, height: int = 32, width: int = 32, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (count, 4, 4, 3))
    return np.kron(coarse, np.ones((1, -(-height // 4), -(-width // 4), 1)))[:, :height, :width].astype(np.uint8)


def test_rows_are_float32_of_the_embedding_size_and_not_normalised(recogniser: Recogniser):
    x = recogniser.embed(faces(5))
    d = recogniser.embedding_size
    assert x.dtype == np.float32 and x.shape == (5, d) and d in (24, 128)
    norms = np.linalg.norm(x, axis=1)
    assert np.isfinite(x).all() and norms.std() > 1e-3 and (np.abs(norms - 1) > 1e-2).any()
    assert recogniser.embed(faces(0)).shape == (0, d)


def test_a_row_depends_on_its_face_alone(recogniser: Recogniser):
    many = faces(37)
    x = recogniser.embed(many)
    for rows in ([0], [36], [20, 3], list(range(36, -1, -1))):
        np.testing.assert_array_equal(recogniser.embed(many[rows]), x[rows])
    assert np.linalg.norm(x[0] - x[1]) > 1e-3


@pytest.mark.parametrize(("height", "width"), [(64, 64), (16, 16), (50, 40)])
def test_faces_come_in_any_size(recogniser: Recogniser, height: int, width: int):
    x, small = recogniser.embed(faces(3, height, width)), recogniser.embed(faces(3))
    assert x.shape == small.shape and np.isfinite(x).all()
    cosine = (x * small).sum(1) / np.linalg.norm(x, axis=1) / np.linalg.norm(small, axis=1)
    assert (cosine > 0.5).all()  # the same pattern, coarser, finer or stretched


def test_a_blank_face_has_a_finite_row(recogniser: Recogniser):
    blank = np.stack([np.full((32, 32, 3), value, np.uint8) for value in (0, 127, 255)])
    assert np.isfinite(recogniser.embed(blank)).all()


@pytest.mark.parametrize("name", [name for name in WRITERS if not name.startswith("embedded")])
def test_a_bgr_card_swaps_the_channels(name: str, tmp_path: Path):
    rgb, bgr = load(name, tmp_path), load(name, tmp_path, colour="bgr")
    shown = faces(3)
    np.testing.assert_array_equal(bgr.embed(shown), rgb.embed(np.ascontiguousarray(shown[..., ::-1])))
    assert np.abs(bgr.embed(shown) - rgb.embed(shown)).max() > 1e-3


@pytest.mark.parametrize("name", [name for name in WRITERS if not name.startswith("embedded")])
def test_mean_and_deviation_are_those_of_the_card_in_the_order_of_its_colours(name: str, tmp_path: Path):
    plain = load(name, tmp_path, mean=0, std=2)
    shifted = load(name, tmp_path, colour="bgr", mean=[30, 20, 10], std=[2, 2, 2])
    dark = faces(3) // 2
    brighter = (dark + np.array([30, 20, 10], np.uint8))[..., ::-1]
    np.testing.assert_array_equal(shifted.embed(brighter), plain.embed(dark))


@pytest.mark.parametrize("name", WRITERS)
def test_what_is_no_file_of_weights_is_one_line(name: str, tmp_path: Path):
    backend, weights = WRITERS[name](tmp_path)
    if backend != "embedded":
        nets.write_card(tmp_path / "card.json")
    content = weights.read_bytes()
    for broken in (b"", b"broken", content[: len(content) // 2]):
        weights.write_bytes(broken)
        with pytest.raises(ValueError, match=weights.name) as error:
            read(backend, weights.parent)
        assert "\n" not in str(error.value)
    weights.unlink()
    with pytest.raises(ValueError, match="weights.safetensors: no such file|: 0 files of weights") as error:
        read(backend, weights.parent)
    assert str(weights.parent) in str(error.value)


@pytest.mark.parametrize("name", [name for name in WRITERS if not name.startswith("embedded")])
def test_a_network_is_one_file_of_weights_and_a_card(name: str, tmp_path: Path):
    backend, weights = WRITERS[name](tmp_path)
    with pytest.raises(InputError) as error:
        read(backend, tmp_path)
    assert (error.value.file, error.value.problem) == (str(tmp_path / "card.json"), "no such file")
    nets.write_card(tmp_path / "card.json")
    shutil.copy(weights, tmp_path / f".hidden{weights.suffix}")
    read(backend, tmp_path)
    shutil.copy(weights, tmp_path / f"more{weights.suffix}")
    with pytest.raises(InputError) as error:
        read(backend, tmp_path)
    assert (error.value.file, error.value.problem) == (str(tmp_path), "2 files of weights")


@pytest.mark.parametrize("name", ["onnx, free batch", "arcface_torch"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"embedding_size": 512}, "embedding_size = 24; allowed: 512, as its card says"),
        ({"size_px": 112}, "size_px = 32; allowed: 112, as its card says"),
        ({"colour": "grey"}, "card.colour = 'grey'"),
        ({"std": 0}, "card.std"),
        ({"mean": [1, 2]}, "card.mean"),
        ({"colour_order": "rgb"}, "card.colour_order: not a known key"),
        ({"sha256": "0" * 64}, "sha256 differs from the one in its card"),
    ],
)
def test_a_card_that_does_not_fit_is_one_line(name: str, tmp_path: Path, change: dict, message: str):
    with pytest.raises(ValueError) as error:
        load(name, tmp_path, **change)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_the_shipped_cards_load(tmp_path: Path):
    cards = ROOT / "stages/recognisers/cards"
    colours = {file.stem: json.loads(file.read_text())["colour"] for file in cards.glob("*.json")}
    assert colours == {"insightface": "rgb", "adaface": "bgr"}
    for name in colours:
        shutil.copy(cards / f"{name}.json", tmp_path / "card.json")
        assert published.read(tmp_path).colour == colours[name]


def test_the_embedded_backend_builds_every_backbone():
    assert isinstance(networks.build(EMBEDDED), Compact)
    deep = networks.build({**EMBEDDED, "architecture": "iresnet", "blocks": [1, 1, 2, 1], "colour": "grey"})
    assert isinstance(deep, Iresnet) and deep.conv1.in_channels == 1
    with pytest.raises(ValueError, match="size_px = 40; allowed: a multiple of 16"):
        networks.build({**EMBEDDED, "architecture": "iresnet", "size_px": 40})
