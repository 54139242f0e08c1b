"""Vec2Face on the published layout: what is loaded and refused, what is drawn, and the stage on it."""

import argparse
import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from gpus import Gpus
from tiny import ROOT, TINY, data_at, run, write_params

from stages import generate
from stages.attributes import attrop, record
from stages.backbones.vec2face import TOKENS, Vec2Face
from stages.common import artifacts, params, sphere
from stages.common.errors import InputError
from stages.common.images import Shards
from stages.common.params import Network
from stages.common.world import World
from stages.foreign.photographs import framed
from stages.generators import vec2face
from stages.settings.generate import Generate
from stages.tools import standin

D = 16


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vec2face")
    standin.vec2face(folder, "tiny", D)
    return folder


@pytest.fixture(scope="module")
def generator(weights: Path) -> vec2face.Vec2FaceGenerator:
    return loaded(weights)


def loaded(folder: Path, frame_px: int = 112, size_px: int = 32) -> vec2face.Vec2FaceGenerator:
    cfg = params.load("generate", Generate, ROOT / "params.yaml")
    world = params.load("world", World, ROOT / "params.yaml")
    cfg, world = replace(cfg, weights=folder.name), replace(world, size_px=size_px, photo_frame_px=frame_px)
    with data_at(folder.parent):
        return vec2face.load(cfg, world)


def rows(count: int, d: int = D, norm: float = 4.0) -> tuple[np.ndarray, np.ndarray]:
    x = sphere.unit_rows(np.random.default_rng(1).standard_normal((count, d)))
    return x, np.full(count, norm, np.float32)


def test_the_layout_is_the_published_one():
    with torch.device("meta"):
        net = Vec2Face(512, 768, (12, 8), 256, [128, 128, 256, 256, 512])
    shapes = sorted(f"{key} {tuple(value.shape)}" for key, value in net.state_dict().items())
    assert len(shapes) == 349 and sum(p.numel() for p in net.parameters()) == 174_126_998
    # of the state dict that HaiyuWu/Vec2Face makes of vec2face_vit_base_patch16
    official = "9adbc65fb0e2b8d8696340e3e9f960eb0d995873b87dff7e66b287145ea68f6f"
    assert hashlib.sha256("\n".join(shapes).encode()).hexdigest() == official


# of the official network, of the tensors, rows and masks below, at three channels x four pixels of two images
OFFICIAL = [
    [[-0.1782, 1.0, 0.4677, -0.2605], [-0.006, 0.146, -0.3259, 0.1644], [-0.0216, 0.5943, 0.1945, -0.3728]],
    [[-0.1248, 0.4717, -0.6865, -0.1557], [0.086, -0.0351, 0.4992, 0.2817], [0.0373, 0.2001, -1.0, -0.2177]],
]
ROWS_PX, COLUMNS_PX = [3, 40, 70, 100], [20, 56, 90, 5]


def random_tensor(key: str, shape: torch.Size, rng: np.random.Generator) -> torch.Tensor:
    x = rng.standard_normal(tuple(shape))
    if len(shape) > 1:
        return torch.from_numpy(x / np.prod(shape[1:]) ** 0.5).float()
    return torch.from_numpy(0.2 * x + ("norm" in key.lower() and key.endswith("weight"))).float()


def test_the_same_weights_and_masks_give_the_official_images():
    net, rng = Vec2Face(16, 48, (2, 1), 8, [32, 32, 64, 64, 128]).eval(), np.random.default_rng(0)
    state = net.state_dict()
    tensors = {
        key: random_tensor(key, state[key].shape, rng) for key in sorted(state) if not key.endswith("position_ids")
    }
    net = vec2face.network({**tensors, "token_emb.position_ids": state["token_emb.position_ids"]}).eval()
    x = torch.from_numpy(np.random.default_rng(1).standard_normal((2, 16))).float()
    hidden = (torch.from_numpy(np.stack(part)) for part in zip(*map(vec2face.masks, (0, 1)), strict=True))
    with torch.no_grad():
        faces = net(x, *hidden)
    assert np.abs(faces[:, :, ROWS_PX, COLUMNS_PX].numpy() - OFFICIAL).max() < 2e-4


def test_masks_follow_the_official_distribution_and_the_seed_alone():
    dropped, masked = (np.stack(part) for part in zip(*map(vec2face.masks, range(4000)), strict=True))
    assert (dropped.sum(1) == 5).all() and (masked >= dropped).all()
    share = masked.mean(1)
    # normal (0.15, 0.25) cut off at 0.1 and 1: mean 0.3184, and 25 % below 0.1906; rounded up to tokens
    assert share.mean() == pytest.approx(0.3184 + 0.5 / TOKENS, abs=0.01)
    assert np.quantile(share, 0.25) == pytest.approx(0.1906 + 0.5 / TOKENS, abs=0.02)
    assert masked.mean(0).std() < 0.02  # no token is favoured
    assert np.array_equal(vec2face.masks(7)[1], masked[7])


def test_a_face_depends_on_its_row_and_seed_alone(generator: vec2face.Vec2FaceGenerator):
    x, norms = rows(6)
    condition, seeds = generator.condition(x, norms, np.arange(6)), np.arange(6) + 10
    faces = generator.generate(condition, seeds)
    assert faces.shape == (6, 32, 32, 3) and faces.dtype == np.uint8
    order = np.array([5, 2, 0])
    assert np.array_equal(generator.generate(condition[order], seeds[order]), faces[order])
    assert np.array_equal(generator.generate(condition[4:5], seeds[4:5])[0], faces[4])
    assert not np.array_equal(generator.generate(condition[:1], seeds[1:2])[0], faces[0])  # other masks
    assert not np.array_equal(generator.generate(condition[1:2], seeds[:1])[0], faces[0])
    assert generator.generate(condition[:0], seeds[:0]).shape == (0, 32, 32, 3)


def test_it_draws_on_the_gpu_of_the_rank(weights: Path, gpus: Gpus):
    made = loaded(weights)
    assert gpus.used == {"cuda:1"}
    gpus.used.clear()
    made.generate(made.condition(*rows(1), np.arange(1)), np.arange(1))
    assert gpus.used == {"cuda:1"}


def test_perturbation_keeps_the_norm_and_follows_a_row_that_attrop_has_moved(generator: vec2face.Vec2FaceGenerator):
    x, norms = rows(50)
    condition = generator.condition(x, norms, np.arange(50))
    assert np.allclose(np.linalg.norm(condition, axis=1), norms, atol=1e-5)
    near = generate.perturb(x, np.arange(50), np.full(50, 0.1))
    assert np.allclose(generator.perturbed(condition, x, near), near * norms[:, None], atol=1e-5)
    moved = condition + np.random.default_rng(2).standard_normal(condition.shape).astype(np.float32)
    around = generator.perturbed(moved, x, near)
    assert np.allclose(generator.perturbed(moved, x, x), moved, atol=1e-5)
    assert np.allclose(np.linalg.norm(around, axis=1), np.linalg.norm(moved, axis=1), atol=1e-4)
    cosine = (sphere.unit_rows(around) * sphere.unit_rows(moved)).sum(1)
    assert np.allclose(cosine, (near * x).sum(1), atol=1e-5)


def test_mixing_goes_from_one_row_to_the_other_at_their_norm(generator: vec2face.Vec2FaceGenerator):
    x, norms = rows(2)
    a, b = generator.condition(x, norms * np.array([1, 2], np.float32), np.arange(2))
    ratio = np.array([1, 0.5, 0])
    mixed = generator.mixed(np.stack([a] * 3), np.stack([b] * 3), ratio)
    assert np.allclose(mixed[0], a, atol=1e-5) and np.allclose(mixed[2], b, atol=1e-5)
    assert np.linalg.norm(mixed[1]) == pytest.approx(6, abs=1e-4)


def test_faces_are_framed_as_photographs_are(generator: vec2face.Vec2FaceGenerator, weights: Path):
    condition = torch.from_numpy(generator.condition(*rows(1), np.arange(1)))

    def drawn(frame_px: int) -> np.ndarray:
        face = loaded(weights, frame_px).draw(condition, np.arange(1))
        return (face[0].permute(1, 2, 0) * 255).byte().numpy()

    for frame_px in (136, 96, 121):
        assert np.array_equal(drawn(frame_px), framed(drawn(112), frame_px))


def test_gradients_are_those_of_finite_differences(generator: vec2face.Vec2FaceGenerator):
    condition, seeds = torch.from_numpy(generator.condition(*rows(2), np.arange(2))), np.arange(2)

    def brightness(moved: torch.Tensor) -> torch.Tensor:
        return generator.draw(moved, seeds).double().mean((1, 2, 3))

    moved = condition.clone().requires_grad_()
    (slope,) = torch.autograd.grad(brightness(moved).sum(), moved)
    towards = torch.from_numpy(np.random.default_rng(3).standard_normal((2, D)).astype(np.float32))
    with torch.no_grad():
        difference = (brightness(condition + 0.005 * towards) - brightness(condition - 0.005 * towards)) / 0.01
    assert np.allclose((slope * towards).sum(1), difference, rtol=0.03) and (difference.abs() > 1e-5).all()


def test_training_checkpoints_load_with_the_command_line_that_they_carry(tmp_path: Path):
    state = standin.vec2face(tmp_path, "tiny", D)
    checkpoint = {"model_vec2face": state, "epoch": 3, "args": argparse.Namespace(lr=1e-4)}
    torch.save(checkpoint, tmp_path / "vec2face_generator.pth")
    assert loaded(tmp_path).net.state_dict().keys() == state.keys()


class Code:
    def __reduce__(self) -> tuple:
        return (print, ("this must not run",))


BROKEN: dict[str, tuple[Callable[[dict], object], str]] = {
    "missing": (lambda state: without(state, "blocks.0.attn.qkv.bias"), "Missing key"),
    "unused": (lambda state: without(state, "center_token.weight"), "Missing key"),
    "first": (lambda state: without(state, "latent_prior_proj_f.weight"), "latent_prior_proj_f.weight"),
    "extra": (lambda state: {**state, "age_token": torch.zeros(1)}, "age_token"),
    "shape": (lambda state: {**state, "norm.bias": torch.zeros(5)}, "size mismatch for norm.bias"),
    "code": (lambda _: Code(), "carries code (print)"),
    "other": (lambda _: torch.zeros(3), "model_vec2face: no tensors"),
}


def without(state: dict, key: str) -> dict:
    return {name: value for name, value in state.items() if name != key}


@pytest.mark.parametrize("name", BROKEN)
def test_other_checkpoints_are_refused_in_one_line(name: str, tmp_path: Path, capsys: pytest.CaptureFixture):
    change, message = BROKEN[name]
    broken = change(standin.vec2face(tmp_path, "tiny", D))
    torch.save({"model_vec2face": broken}, tmp_path / "vec2face_generator.pth")
    with pytest.raises(ValueError) as error:
        loaded(tmp_path)
    assert message in str(error.value) and "\n" not in str(error.value)
    assert str(error.value).startswith(f"data/{tmp_path.name}/vec2face_generator.pth: ")
    assert "must not run" not in capsys.readouterr().out


def test_missing_and_truncated_files_are_refused(weights: Path, tmp_path: Path):
    with pytest.raises(ValueError, match="vec2face_generator.pth: no such file"):
        loaded(tmp_path)
    content = (weights / "vec2face_generator.pth").read_bytes()
    (tmp_path / "vec2face_generator.pth").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match="vec2face_generator.pth: not a readable checkpoint"):
        loaded(tmp_path)


def test_rows_of_another_size_are_refused(generator: vec2face.Vec2FaceGenerator):
    with pytest.raises(InputError, match="allowed: 16, that of .*vec2face_generator.pth") as error:
        generator.condition(*rows(2, d=8), np.arange(2))
    assert error.value.value == 8


def test_the_stages_run_on_it_and_leave_out_who_fails(copy: Path, tmp_path: Path):
    x_id, norms = artifacts.read_rows("data/pack", "x_id")
    standin.vec2face(copy / "data/external/weights/vec2face", "tiny", x_id.shape[1])
    changed = {
        **TINY,
        "world.photo_frame_px": 112,
        "generate.backend": "vec2face",
        "generate.weights": "external/weights/vec2face",
        "generate.depths": {"identities": [6], "images": [2]},
        "generate.mixup": {"identities": 4, "images": 1},
        "generate.control": {"identities": 3, "images": 2},
        "generate.attributes.centres": True,
    }
    write_params(copy, changed)
    cfg, world, rows_by = params.load("generate", Generate), params.load("world", World), params.load("embed", Network)
    moving = attrop.load(vec2face.load(cfg, world), cfg, rows_by, tmp_path)
    _, centres = moving.centres(x_id, x_id * norms[:, None])
    assert len(centres) == 12 and all(centres["accepted"].to_pylist())  # whoever is at least at -1
    with pytest.raises(ValueError, match="generate.attributes: 0 of 12 identities reached min_cosine"):
        generate.accepted(record.table("centre", np.arange(12), np.arange(12), None, np.zeros((12, 6))))
    cosine = np.sort(centres["cosine"].to_numpy())
    write_params(copy, {**changed, "generate.attributes.min_cosine": float(cosine[-5:-3].mean())})
    run("generate")
    accepted = np.flatnonzero(record.of_kind(record.read(), "centre")["accepted"].to_pylist())
    assert 2 <= len(accepted) <= 6
    assert np.array_equal(artifacts.read_array("data/generate/rows.npy"), accepted)
    plain = Shards("data/generate", "plain-*.arrow")
    assert np.array_equal(np.bincount(plain.column("identity")), [2] * len(accepted))
    assert set(plain.column("domain").tolist()) == {"vec2face"}
    run("audit")
    report = artifacts.read_json("reports/audit.json")["attributes"]
    assert report["centres"] == {"tried": 12, "accepted": len(accepted)}
