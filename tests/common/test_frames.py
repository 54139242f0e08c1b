"""The frame that a network sees: ArcFace's crop for published ones, of a rendered face and of a photograph alike."""

import shutil
from pathlib import Path

import cv2
import nets
import numpy as np
import pytest
import torch
from refusal import refused
from tiny import ROOT, run, working_in, write_params

from stages.auditing import faces as audited
from stages.common import images, sphere
from stages.common.errors import InputError
from stages.common.frames import Frame
from stages.common.images import FRAME_PX, Shards
from stages.foreign import alignment, photographs, published
from stages.foreign.published import Published
from stages.metrics import scoring
from stages.recognisers import iresnet, onnx
from stages.world import identity, render, style, trace

PUBLISHED = ROOT / "stages/recognisers/cards"
ARCFACE = Frame(112, 112, 112)


def smooth(height: int, width: int, seed: int = 0) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def apart(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a.astype(float) - b).mean())


@pytest.mark.parametrize("size_px", [112, 272, 64])
def test_of_a_rendered_face_a_published_network_sees_what_alignment_cuts_out(size_px: int):
    """The five points, as the world knows them, are taken to ArcFace's template by the code that aligns photographs."""
    z, neutral, seeds = identity.sample("test-frames", 0, range(4)), style.neutral(4), np.arange(4)
    faces = render.photograph(z, neutral, seeds, "studio", size_px)
    points = render.landmarks_px(z, neutral, size_px).double().numpy()
    cut = ARCFACE.of(faces, FRAME_PX)
    for face, five, face_cut in zip(faces, points, cut, strict=True):
        whole = cv2.resize(face, (224, 224), interpolation=cv2.INTER_AREA if size_px > 224 else cv2.INTER_LINEAR)
        five = (five + 0.5) * 224 / size_px - 0.5
        aligned = alignment.warp(whole, alignment.similarity(five, alignment.ARCFACE), 112)
        assert apart(face_cut, aligned) < 4 < apart(images.resize(face[None], 112)[0], aligned)


@pytest.mark.parametrize("frame_px", [112, 136, 121, 100])
def test_of_a_photograph_it_sees_the_aligned_face_again(frame_px: int):
    aligned = smooth(112, 112)
    framed = photographs.framed(aligned, frame_px)
    rim = max(0, 112 - frame_px) // 2  # what a narrower frame has cut off is replicated
    inner = slice(rim, 112 - rim)
    cut = ARCFACE.of(framed[None], frame_px)[0]
    np.testing.assert_array_equal(cut[inner, inner], aligned[inner, inner])
    stored = images.resize(framed[None], 64)
    assert apart(ARCFACE.of(stored, frame_px)[0, inner, inner], aligned[inner, inner]) < 4


def test_what_is_as_it_should_be_stays_as_it_is():
    face = smooth(136, 136)[None]
    for frame_px in (None, FRAME_PX):
        np.testing.assert_array_equal(Frame(64, 64, FRAME_PX).of(face, frame_px), images.resize(face, 64))
    np.testing.assert_array_equal(ARCFACE.of(face, FRAME_PX)[0], face[0, 12:124, 12:124])
    np.testing.assert_array_equal(Frame(136, 136, FRAME_PX).of(face[:, 12:124, 12:124], 112)[0, 12:124, 12:124],
                                  face[0, 12:124, 12:124])  # fmt: skip


def test_a_network_of_112_x_96_loses_8_px_on_either_side():
    face, narrow = smooth(136, 136)[None], Frame(112, 96, 112)
    np.testing.assert_array_equal(narrow.of(face, FRAME_PX), face[:, 12:124, 20:116])
    np.testing.assert_array_equal(narrow.of(face[:, 12:124, 12:124]), face[:, 12:124, 20:116])
    np.testing.assert_array_equal(narrow.of(face[:, 12:124, 20:116]), face[:, 12:124, 20:116])


@pytest.mark.parametrize("frame_px", [None, 112, 136, 90])
@pytest.mark.parametrize("frame", [ARCFACE, Frame(112, 96, 112), Frame(64, 64, 136)])
def test_the_differentiable_way_sees_the_same(frame: Frame, frame_px: int | None):
    faces = np.stack([smooth(136, 136, seed) for seed in range(2)])
    x = torch.from_numpy(faces).permute(0, 3, 1, 2).double().requires_grad_()
    x_cut = frame.of_tensor(x, frame_px)
    seen = x_cut.detach().permute(0, 2, 3, 1).numpy()
    wider = frame.of(faces, 1.25 * (frame_px or frame.frame_px))
    assert seen.shape == wider.shape and apart(seen, frame.of(faces, frame_px)) < 4 < 20 < apart(seen, wider)
    x_cut.sum().backward()
    assert x.grad is not None and (x.grad != 0).any()


def load(backend: str, folder: Path, **card: object) -> Published:
    nets.write_card(folder / "card.json", **card)
    return {"onnx": onnx.load, "iresnet": iresnet.load}[backend](folder)


@pytest.mark.parametrize("size", [(112, 112), (112, 96)])
@pytest.mark.parametrize("backend", ["onnx", "iresnet"])
def test_a_network_takes_its_card_s_frame_and_its_own_height_and_width(tmp_path: Path, backend: str, size: tuple):
    if backend == "onnx":
        nets.write_onnx(tmp_path / "net.onnx", sides=size)
    else:
        tensors = nets.adaface()
        columns = nets.WIDTHS[-1] * size[0] * size[1] // 256
        tensors["output_layer.3.weight"] = torch.randn(nets.D, columns, generator=torch.Generator().manual_seed(0))
        torch.save(tensors, tmp_path / "net.pth")
    net = load(backend, tmp_path, size_px=list(size))
    wide = load(backend, tmp_path, frame_px=136)
    faces = np.stack([smooth(136, 136, seed) for seed in range(3)])
    x = net.embed(faces, FRAME_PX)
    np.testing.assert_array_equal(x, net.embed(faces[:, 12:124, 12:124], 112))
    np.testing.assert_array_equal(x, net.embed(faces[:, 12:124, 12:124]))
    np.testing.assert_array_equal(wide.embed(faces, FRAME_PX), wide.embed(faces))
    assert np.abs(x - wide.embed(faces, FRAME_PX)).max() > 1e-3
    with refused(key="size_px", allowed="[48, 64], as its card says"):
        load(backend, tmp_path, size_px=[48, 64])


def test_the_cards_that_come_with_the_project_ask_for_arcface_s_crop(tmp_path: Path):
    for file in PUBLISHED.glob("*.json"):
        shutil.copy(file, tmp_path / "card.json")
        assert published.read(tmp_path).frame_px == 112
    assert trace.FRAME == FRAME_PX and alignment.TEMPLATE_PX == 112


def test_shards_say_what_their_faces_show(tmp_path: Path):
    about = dict.fromkeys(("identity", "index", "seed"), np.arange(2))
    for name, frame_px in (("a", FRAME_PX), ("b", 112)):
        images.write_shard(tmp_path / f"{name}.arrow", [smooth(32, 32)] * 2, domain="x", frame_px=frame_px, **about)
        assert Shards(tmp_path, f"{name}.arrow").frame_px == frame_px
    with pytest.raises(InputError, match=r"frame_px = \[112, 136\]; allowed: one number, the same in all shards"):
        Shards(tmp_path)


def rows_by_all(folder: Path, net: Published, kept: Path) -> np.ndarray:
    """Return what evaluate sees, and check that audit sees the same; embed takes what they take."""
    shards = Shards(folder)
    audit, _ = audited.embedded({"net": net}, audited.of_shards(shards), kept, "audit")["net"]
    (score,) = scoring.embedded([net], shards, kept)
    assert np.array_equal(sphere.unit_rows(audit.x), score)
    return score


def test_every_stage_that_asks_a_published_network_tells_it_what_the_faces_show(tmp_path: Path):
    nets.write_onnx(tmp_path / "net.onnx", sides=(112, 112))
    net = load("onnx", tmp_path)
    rendered, about = np.stack([smooth(136, 136, i) for i in range(4)]), np.arange(4)
    for frame_px, shown in ((FRAME_PX, rendered), (112, rendered[:, 12:124, 12:124])):
        (tmp_path / str(frame_px) / "kept").mkdir(parents=True)
        encoded = [photographs.lossless(face) for face in shown]
        columns = dict.fromkeys(("identity", "index", "seed"), about)
        images.write_shard(tmp_path / f"{frame_px}/a.arrow", encoded, domain="x", frame_px=frame_px, **columns)
    expected = sphere.unit_rows(net.embed(rendered[:, 12:124, 12:124]))
    for frame_px in (FRAME_PX, 112):
        np.testing.assert_array_equal(
            rows_by_all(tmp_path / str(frame_px), net, tmp_path / str(frame_px) / "kept"), expected
        )


@pytest.mark.parametrize("frame_px", [112, 136])
def test_a_gallery_of_photographs_reaches_the_network_as_it_was_aligned(tmp_path: Path, frame_px: int):
    """Through the stages gallery and embed: the rows are those of the files, whatever frame the world stores."""
    faces = [smooth(112, 112, seed) for seed in range(3)]
    (tmp_path / "data/faces").mkdir(parents=True)
    for i, face in enumerate(faces):
        cv2.imwrite(str(tmp_path / f"data/faces/{i}.png"), face[..., ::-1])
    network = nets.write_onnx(tmp_path / "data/net/net.onnx", sides=(112, 112)).parent
    net = load("onnx", network)
    write_params(tmp_path, {
        "gallery.backend": "folder", "gallery.path": "faces", "gallery.identities": 3,
        "world.photo_frame_px": frame_px, "world.size_px": 272,
        "embed": {"recogniser": "onnx", "network": "net"},
    })  # fmt: skip
    with working_in(tmp_path):
        run("gallery")
        run("embed")
        assert Shards("data/gallery").frame_px == frame_px
    x_ref = np.load(tmp_path / "data/embed/x_ref.npy")
    expected = net.embed(np.stack(faces))
    cosine = (x_ref * expected / np.linalg.norm(expected, axis=1, keepdims=True)).sum(1)
    assert (cosine > 0.9999).all()
