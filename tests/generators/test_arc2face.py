"""Arc2Face on tiny random weights in the published layout: its conditioning, its stage, and what it refuses."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import detector
import numpy as np
import pytest
import torch
from gpus import Gpus
from safetensors.torch import load_file
from tiny import ROOT, TINY, data_at, run, working_in, write_params

from stages import generators
from stages.common import artifacts, devices, params, sphere
from stages.common.errors import InputError
from stages.common.images import Shards
from stages.common.world import World
from stages.generators.arc2face import Arc2Face
from stages.settings.generate import Diffusion, Generate
from stages.tools import standin

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # diffusers with numpy 2
WORLD = replace(params.load("world", World, ROOT / "params.yaml"), size_px=32)
CFG = params.load("generate", Generate, ROOT / "params.yaml")
FEW = Diffusion(steps=2, guidance=3, lcm=False, batch=4)
X = sphere.unit_rows(np.random.default_rng(0).standard_normal((4, 512)))
SEEDS = np.arange(4)
UNET, VAE = "arc2face/diffusion_pytorch_model.safetensors", "vae/diffusion_pytorch_model.safetensors"
ENCODER, LORA = "encoder/pytorch_model.bin", "lcm-lora-sdv1-5/pytorch_lora_weights.safetensors"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights") / "arc2face"
    standin.arc2face(folder, "tiny")
    return folder


@pytest.fixture
def copied(weights: Path, tmp_path: Path) -> Path:
    return shutil.copytree(weights, tmp_path / "arc2face")


def load(folder: Path, world: World = WORLD, **diffusion: Any) -> Arc2Face:
    cfg = replace(CFG, backend="arc2face", weights=folder.name, diffusion=replace(FEW, **diffusion))
    with data_at(folder.parent):
        generator = generators.load(cfg, world)
    assert isinstance(generator, Arc2Face)
    return generator


@pytest.fixture(scope="module")
def generator(weights: Path) -> Arc2Face:
    return load(weights)


@torch.inference_mode()
def test_a_row_stands_where_id_stood_and_the_published_tensors_are_what_encodes_it(weights: Path, generator: Arc2Face):
    """The text encoder's formulas written out on the tensors of the file, for one row at a time."""
    t = {key.removeprefix("text_model."): value for key, value in torch.load(weights / ENCODER).items()}
    vocabulary = json.loads((weights / "tokenizer/vocab.json").read_text())
    words = [
        "<|startoftext|>",
        *"phot",
        "o</w>",
        "o",
        "f</w>",
        "a</w>",
        "id</w>",
        *"perso",
        "n</w>",
    ]  # spelt in letters
    ids = [vocabulary[word] for word in words]
    ids += [vocabulary["<|endoftext|>"]] * (77 - len(ids))

    def linear(name: str, h: torch.Tensor) -> torch.Tensor:
        return h @ t[f"{name}.weight"].T + t[f"{name}.bias"]

    def norm(name: str, h: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.layer_norm(h, h.shape[-1:], t[f"{name}.weight"], t[f"{name}.bias"])

    def heads(h: torch.Tensor) -> torch.Tensor:
        return h.reshape(77, 8, -1).transpose(0, 1)

    for row, prompt in zip(X, generator.encoder.rows(X), strict=True):
        h = t["embeddings.token_embedding.weight"][ids].clone()
        h[words.index("id</w>")] = torch.nn.functional.pad(torch.from_numpy(row), (0, h.shape[1] - 512))
        h = h + t["embeddings.position_embedding.weight"]
        layer = "encoder.layers.0"
        n = norm(f"{layer}.layer_norm1", h)
        q, k, v = (heads(linear(f"{layer}.self_attn.{part}_proj", n)) for part in "qkv")
        scores = q @ k.transpose(1, 2) / q.shape[-1] ** 0.5
        attended = scores.masked_fill(torch.ones(77, 77).triu(1).bool(), -torch.inf).softmax(-1) @ v
        h = h + linear(f"{layer}.self_attn.out_proj", attended.transpose(0, 1).reshape(77, -1))
        m = linear(f"{layer}.mlp.fc1", norm(f"{layer}.layer_norm2", h))
        h = h + linear(f"{layer}.mlp.fc2", m * torch.sigmoid(1.702 * m))
        assert torch.allclose(prompt, norm("final_layer_norm", h), atol=1e-5)


@torch.inference_mode()
@pytest.mark.parametrize("precision", ["full", "mixed"])
def test_pictures_are_those_of_the_pipeline_given_one_prompt_at_a_time(
    precision: str, generator: Arc2Face, monkeypatch: pytest.MonkeyPatch
):
    """As the published script draws: one identity a call, the empty prompt encoded anew, one number as a seed."""
    context = torch.autocast("cpu", torch.bfloat16, enabled=precision == "mixed")
    monkeypatch.setattr(devices, "mixed_precision", lambda: context)
    pictures = generator.pictures(X, SEEDS)
    for i, row in enumerate(X):
        image = generator.pipeline(
            prompt_embeds=generator.encoder.rows(row[None]), negative_prompt_embeds=generator.encoder.empty(),
            num_inference_steps=2, guidance_scale=3.0, generator=torch.Generator().manual_seed(i),
        ).images[0]  # fmt: skip
        difference = np.abs(np.asarray(image).astype(int) - pictures[i])
        assert difference.max() <= {"full": 1, "mixed": 8}[precision]
        assert (difference.mean() > 0.05) == (precision == "mixed")  # bfloat16 was there, or was not


def test_its_networks_and_its_prompt_are_on_the_gpu_of_the_rank(weights: Path, gpus: Gpus):
    made = load(weights)
    assert gpus.used == {"cuda:1"} and made.pipeline.unet.dtype == made.encoder.text_model.dtype == torch.float16


def test_few_steps_by_lcm_lora_need_its_file_and_change_the_picture(generator: Arc2Face, weights: Path, copied: Path):
    plain, accelerated = generator.pictures(X, SEEDS), load(weights, lcm=True, guidance=1)
    assert type(accelerated.pipeline.scheduler).__name__ == "LCMScheduler"
    assert np.abs(accelerated.pictures(X, SEEDS).astype(int) - plain).mean() > 1
    assert np.array_equal(
        accelerated.pictures(X[1:2], SEEDS[1:2])[0], accelerated.pictures(X, SEEDS)[1]
    )  # LCM's noise is its own, too
    changed = {key: value if key.endswith("alpha") else 0 * value for key, value in load_file(copied / LORA).items()}
    standin.write_tensors(copied / LORA, changed)
    none = load(copied, lcm=True, guidance=1).pictures(X, SEEDS)
    assert (none != accelerated.pictures(X, SEEDS)).any()  # so the tensors of the LoRA are in the UNet


def test_faces_are_aligned_by_the_detector_of_the_world(copied: Path):
    pytest.importorskip("insightface")
    generator = load(copied, replace(WORLD, detector=detector.write(copied.parent / "scrfd.onnx").name))
    assert generator.drawn(X, SEEDS)[1] == ["arc2face-fixed-crop"] * 4  # noise has no white squares
    generator.pictures = lambda condition, seeds: np.stack([detector.picture(128, c) for c in (0, None, 2, None)])
    faces, domains = generator.drawn(X, SEEDS)
    assert domains == ["arc2face", "arc2face-fixed-crop"] * 2 and faces.shape == (4, 32, 32, 3)


Edit = Callable[[Path], object]


def pickled_code(file: Path) -> None:
    class Code:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(file.parent / "ran"),)

    torch.save({BIAS: Code()}, file)


def tensors(file: str, change: Callable[[dict[str, torch.Tensor]], object]) -> Edit:
    def edit(folder: Path) -> None:
        path = folder / file
        state = torch.load(path) if path.suffix == ".bin" else load_file(path)
        change(state)
        torch.save(state, path) if path.suffix == ".bin" else standin.write_tensors(path, state)

    return edit


def other_words(folder: Path) -> None:
    text("tokenizer/merges.txt", "i d</w>", "i a</w>")(folder)
    text("tokenizer/vocab.json", '"id</w>"', '"ia</w>"')(folder)


def shorten(file: str) -> Edit:
    return lambda folder: (folder / file).write_bytes((folder / file).read_bytes()[:999])


def text(file: str, old: str, new: str) -> Edit:
    return lambda folder: (folder / file).write_text((folder / file).read_text().replace(old, new))


BIAS = "text_model.final_layer_norm.bias"
BROKEN: dict[str, tuple[Edit, str]] = {
    "no folder": (shutil.rmtree, "no such file"),
    "no unet": (lambda f: (f / UNET).unlink(), f"{UNET}: no such file; allowed: all files that generate.weights needs"),
    "no vae": (lambda f: (f / VAE).unlink(), f"{VAE}: no such file"),
    "no config": (lambda f: (f / "encoder/config.json").unlink(), "encoder/config.json: no such file"),
    "no encoder": (lambda f: (f / ENCODER).unlink(), "encoder: not a readable CLIPTextModel"),
    "no tokens": (lambda f: (f / "tokenizer/merges.txt").unlink(), "merges.txt: no such file"),
    "no schedule": (lambda f: (f / "scheduler/scheduler_config.json").unlink(), "scheduler_config.json: no such file"),
    "truncated": (shorten(UNET), "not a readable UNet2DConditionModel"),
    "truncated pickle": (shorten(ENCODER), f"{ENCODER}: not a readable checkpoint"),
    "code": (lambda f: pickled_code(f / ENCODER), r"carries code \(.*\) and was not opened"),
    "missing": (tensors(ENCODER, lambda t: t.pop(BIAS)), "1 missing, such as final_layer"),
    "extra": (tensors(ENCODER, lambda t: t.update({"text_model.more": torch.ones(1)})), "1 unexpected, such as more"),
    "shape": (tensors(ENCODER, lambda t: t.update({BIAS: torch.ones(3)})), "1 mismatched"),
    "unet missing": (tensors(UNET, lambda t: t.pop("conv_in.bias")), "ConditionModel: 1 missing, such as conv_in"),
    "unet extra": (tensors(UNET, lambda t: t.update({"more": torch.ones(1)})), "1 unexpected, such as more"),
    "unet shape": (tensors(UNET, lambda t: t.update({"conv_in.bias": torch.ones(3)})), "conv_in.bias expected shape"),
    "vae missing": (tensors(VAE, lambda t: t.pop("quant_conv.bias")), "vae: not the tensors of this AutoencoderKL"),
    "size": (text("encoder/config.json", '"hidden_size": 512', '"hidden_size": 256'), "mismatched"),
    "no id": (other_words, "tokenizer/: [0-9]+ tokens 'id'"),
    "tokens": (text("tokenizer/vocab.json", "{", "["), "tokenizer or scheduler: not readable"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.filterwarnings("ignore:.*pickle protocol:UserWarning")
def test_a_folder_that_is_not_as_published_is_refused_in_one_line(copied: Path, name: str):
    edit, message = BROKEN[name]
    edit(copied)
    with pytest.raises(ValueError, match=message) as error:
        load(copied)
    assert "data/arc2face" in str(error.value) or name == "no id"
    assert "\n" not in str(error.value) and not (copied / "encoder/ran").exists()


def test_a_unet_for_another_encoder_is_refused(copied: Path):
    def narrow(t: dict[str, torch.Tensor]) -> None:
        t |= {key: v[:, :256].contiguous() for key, v in t.items() if "attn2" in key and v.shape[1:] == (512,)}

    tensors(UNET, narrow)(copied)
    text("arc2face/config.json", '"cross_attention_dim": 512', '"cross_attention_dim": 256')(copied)
    with pytest.raises(InputError, match="allowed: 256") as error:
        load(copied)
    assert (error.value.file, error.value.key, error.value.value) == ("data/arc2face/encoder", "hidden_size", 512)


def test_a_lora_that_does_not_fit_is_refused(copied: Path):
    lora = load_file(copied / LORA)
    (copied / LORA).unlink()
    with pytest.raises(ValueError, match="safetensors: no such file"):
        load(copied, lcm=True)
    foreign = {key.replace("down_blocks_0", "down_blocks_7"): value for key, value in lora.items()}
    standin.write_tensors(copied / LORA, foreign)
    with pytest.raises(ValueError, match="tensors belong to this UNet; allowed: all|not a readable LoRA"):
        load(copied, lcm=True)
    (copied / LORA).write_bytes(b"nothing")
    with pytest.raises(ValueError, match="not a readable LoRA"):
        load(copied, lcm=True)


@pytest.fixture
def project(weights: Path, tmp_path: Path) -> Iterator[Path]:
    """Packed and gallery rows of Arc2Face's size, in a folder of their own."""
    rng = np.random.default_rng(0)
    for folder, name in (("data/pack", "x_id"), ("data/pack", "x_normal"), ("data/embed", "x_ref")):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        artifacts.write_rows(tmp_path / folder, name, sphere.unit_rows(rng.standard_normal((12, 512))), np.full(12, 20))
    settings = {"generate.backend": "arc2face", "generate.weights": "arc2face", "world.size_px": 32,
                "generate.depths": {"identities": [2], "images": [3]}, "generate.mixup": {"identities": 3, "images": 2},
                "generate.control": {"identities": 2, "images": 2},
                "generate.diffusion": {"steps": 1, "guidance": 3, "lcm": False, "batch": 4},
                "generate.poses.identities": 0}  # fmt: skip
    write_params(tmp_path, {**TINY, **settings})
    (tmp_path / "data/arc2face").symlink_to(weights)
    with working_in(tmp_path):
        yield tmp_path


def test_the_stage_draws_rows_and_says_which_crop_they_have(project: Path):
    assert "24 of 24 with a fixed crop" in run("generate")
    plain = Shards(project / "data/generate", "plain-*.arrow")
    assert plain.faces().shape == (6, 32, 32, 3) and len(Shards(project / "data/generate", "mixup-*.arrow")) == 6
    assert set(plain.column("domain").tolist()) == {"arc2face-fixed-crop"}
    before = [file.read_bytes() for file in sorted((project / "data/generate").iterdir())]
    run("generate")
    assert [file.read_bytes() for file in sorted((project / "data/generate").iterdir())] == before


def test_the_stage_refuses_rows_of_another_size_and_keeps_what_it_has(project: Path):
    run("generate")
    before = {file: file.read_bytes() for file in (project / "data/generate").iterdir()}
    for folder, name in (("data/pack", "x_id"), ("data/pack", "x_normal"), ("data/embed", "x_ref")):
        artifacts.write_rows(project / folder, name, sphere.unit_rows(np.eye(12, 128)), np.full(12, 20))
    with pytest.raises(InputError, match="allowed: 512, as Arc2Face's") as error:
        run("generate")
    assert (error.value.file, error.value.value) == ("data/pack", 128)
    assert {file: file.read_bytes() for file in (project / "data/generate").iterdir()} == before
