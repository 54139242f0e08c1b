"""Initial faces from a folder of images and from diffusion models in the layout of diffusers."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import detector
import numpy as np
import pytest
import torch
from gpus import Gpus
from refusal import refused
from tiny import ROOT, TINY, data_at, run, working_in, write_params

from stages import galleries
from stages.common import artifacts, images, params
from stages.common.images import Shards
from stages.common.world import World
from stages.foreign import photographs, pretrained
from stages.formats import layouts
from stages.galleries import folder
from stages.settings.gallery import Denoising, Gallery
from stages.tools import standin

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # diffusers with numpy 2
WORLD = replace(params.load("world", World, ROOT / "params.yaml"), size_px=32)
CFG = replace(
    params.load("gallery", Gallery, ROOT / "params.yaml"), identities=5, diffusion=Denoising(steps=3, batch=2)
)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "data/pictures").mkdir(parents=True)
    with working_in(tmp_path):
        yield tmp_path


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three folders of people with 3, 1 and 2 images, each of one grey."""
    root = tmp_path_factory.mktemp("data") / "pictures"
    for person, (name, count) in enumerate([("ann", 3), ("bob", 1), ("cid/deep", 2)]):
        (root / name).mkdir(parents=True)
        for i in range(count):
            cv2.imwrite(str(root / name / f"{i}.png"), np.full((40, 30, 3), 50 * person + 10 * i + 20, np.uint8))
    (root / "notes.txt").write_text("no image")
    return root


@pytest.fixture(scope="module")
def ldm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "ldm"
    standin.unconditional(folder, "tiny")
    return folder


@pytest.fixture(scope="module")
def ddpm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    diffusers = pretrained.library("diffusers")
    torch.manual_seed(0)
    unet = diffusers.UNet2DModel(
        sample_size=16, in_channels=3, out_channels=3, layers_per_block=1, block_out_channels=(8, 8),
        norm_num_groups=4, down_block_types=("DownBlock2D",) * 2, up_block_types=("UpBlock2D",) * 2,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("models") / "ddpm"
    diffusers.DDPMPipeline(unet, diffusers.DDPMScheduler()).save_pretrained(folder)
    return folder


def greys(faces: Any) -> list[int]:
    return [round(float(face.mean())) for face in (faces[0] if isinstance(faces, tuple) else faces)]


def test_different_people_come_first(pictures: Path):
    files = layouts.walk(pictures, layouts.IMAGES)
    assert [str(files[i].relative_to(pictures)) for i in folder.in_turns(files).tolist()] == [
        "ann/0.png", "bob/0.png", "cid/deep/0.png", "ann/1.png", "cid/deep/1.png", "ann/2.png",
    ]  # fmt: skip
    with data_at(pictures.parent):
        initial = galleries.load(replace(CFG, backend="folder", path="pictures"), WORLD)
        assert greys(initial.faces(slice(0, 5))) == [20, 70, 120, 30, 130]
        assert greys(initial.faces(slice(3, 4))) == [30]


def test_aligned_images_are_framed_and_others_cropped(project: Path):
    rng = np.random.default_rng(0)
    for i in range(2):
        noise = rng.integers(0, 255, (112, 112, 3), np.uint8)
        cv2.imwrite(f"data/pictures/{i}.png", cv2.GaussianBlur(noise, (0, 0), 3))
    cfg = replace(CFG, backend="folder", path="pictures", identities=2)
    aligned = galleries.load(cfg, WORLD).faces(slice(0, 2))
    picture = images.decode((project / "data/pictures/1.png").read_bytes())
    assert isinstance(aligned, np.ndarray)
    assert np.array_equal(aligned[1], images.resize(photographs.framed(picture, WORLD.photo_frame_px)[None], 32)[0])
    cropped = galleries.load(replace(cfg, aligned=False), WORLD).faces(slice(0, 2))
    assert cropped[1] == ["external-fixed-crop"] * 2 and not np.array_equal(cropped[0], aligned)


def test_full_size_pictures_are_aligned_by_the_detector(project: Path):
    pytest.importorskip("insightface")
    for i, column in enumerate([1, None, 1]):
        cv2.imwrite(f"data/pictures/{i}.png", detector.picture(256 * (1 + i), column))
    world = replace(WORLD, detector=detector.write(project / "data/scrfd.onnx").name)
    cfg = replace(CFG, backend="folder", path="pictures", identities=3, aligned=False)
    faces, domains = galleries.load(cfg, world).faces(slice(0, 3))
    assert isinstance(faces, np.ndarray)
    assert domains == ["external", "external-fixed-crop", "external"]
    assert np.abs(faces[0].astype(int) - faces[2]).max() <= 16  # the same face at three times the size
    assert np.abs(faces[0].astype(int) - faces[1]).max() > 200


@pytest.mark.parametrize("model", ["ldm", "ddpm"])
def test_a_diffusion_model_draws_faces_of_their_seeds_alone(model: str, request: pytest.FixtureRequest):
    folder = request.getfixturevalue(model)
    cfg = replace(CFG, backend="diffusers", path=folder.name)
    with data_at(folder.parent):
        initial = galleries.load(cfg, WORLD)
    faces, domains = initial.faces(slice(0, 5))
    assert isinstance(faces, np.ndarray)
    assert faces.shape == (5, 32, 32, 3) and faces.dtype == np.uint8 and set(domains) == {"diffusers-fixed-crop"}
    assert len({face.tobytes() for face in faces}) == 5
    assert np.array_equal(initial.faces(slice(2, 5))[0], faces[2:])
    with data_at(folder.parent):
        one_by_one = galleries.load(replace(cfg, diffusion=Denoising(steps=3, batch=1)), WORLD).faces(slice(0, 5))[0]
        another = galleries.load(replace(cfg, seed=1), WORLD)
    assert isinstance(one_by_one, np.ndarray) and np.abs(one_by_one.astype(int) - faces).max() <= 1
    assert not np.array_equal(another.faces(slice(0, 5))[0], faces)


def test_a_diffusion_model_is_on_the_gpu_of_the_rank(ldm: Path, gpus: Gpus):
    with data_at(ldm.parent):
        galleries.load(replace(CFG, backend="diffusers", path=ldm.name), WORLD)
    assert gpus.used == {"cuda:1"}


def index(**changed: Any) -> Callable[[Path], object]:
    def edit(pipeline: Path) -> None:
        file = pipeline / "model_index.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | changed))

    return edit


def without(key: str) -> Callable[[Path], None]:
    def edit(pipeline: Path) -> None:
        file = pipeline / "vqvae/diffusion_pytorch_model.bin"
        torch.save({k: v for k, v in torch.load(file).items() if k != key}, file)

    return edit


def not_unet(*entry: str) -> tuple[Callable[[Path], object], str, dict]:
    """Put something else into the place of the unet."""
    fields = {"key": "unet", "value": list(entry), "allowed": "a network or a schedule of diffusers"}
    return index(unet=list(entry)), "model_index.json", fields


def not_unconditional(name: str) -> tuple[Callable[[Path], object], str, dict]:
    """Name another class of pipelines."""
    fields = {"key": "_class_name", "value": name, "allowed": "an unconditional one such as LDMPipeline"}
    return index(_class_name=name), "model_index.json", fields


BROKEN: dict[str, tuple[Callable[[Path], object], str, dict]] = {
    "no folder": (shutil.rmtree, "model_index.json", {"problem": "no such file", "key": "gallery.path"}),
    "no unet": (lambda ldm: shutil.rmtree(ldm / "unet"), "unet/config.json", {"problem": "no such file"}),
    "no weights": (
        lambda ldm: next((ldm / "unet").glob("*.bin")).unlink(),
        "unet",
        {"problem": "not a readable UNet2DModel"},
    ),
    "no schedule": (
        lambda ldm: shutil.rmtree(ldm / "scheduler"),
        "scheduler",
        {"problem": "not a readable DDIMScheduler"},
    ),
    "missing": (without("post_quant_conv.bias"), "vqvae", {"problem": "not the tensors of this VQModel: 1 missing"}),
    "code": not_unet("my_code", "UNet"),
    "pipeline": not_unet("diffusers", "DiffusionPipeline"),
    "function": not_unet("diffusers", "is_torch_available"),
    "no class": not_unet(),
    "no names": (
        lambda ldm: (ldm / "model_index.json").write_text("[]"),
        "model_index.json",
        {"problem": "holds a list", "allowed": "a mapping of parts"},
    ),
    "conditional": not_unconditional("StableDiffusionPipeline"),
    "unknown": not_unconditional("MyPipeline"),
    "parts": (
        index(_class_name="DDPMPipeline"),
        "model_index.json",
        {"problem": "not the parts of a DDPMPipeline"},
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_folder_that_is_no_unconditional_pipeline_is_refused(ldm: Path, tmp_path: Path, name: str):
    edit, file, fields = BROKEN[name]
    edit(shutil.copytree(ldm, tmp_path / "ldm"))
    with data_at(tmp_path), refused(f"data/ldm/{file}", **fields):
        galleries.load(replace(CFG, backend="diffusers", path="ldm"), WORLD)


def test_a_pipeline_whose_index_is_no_json_is_refused(project: Path):
    (project / "data/ldm").mkdir()
    (project / "data/ldm/model_index.json").write_text("{")
    with pytest.raises(ValueError, match="model_index.json: not valid JSON"):
        galleries.load(replace(CFG, backend="diffusers", path="ldm"), WORLD)


def test_a_folder_without_enough_images_is_refused(pictures: Path, project: Path):
    cfg = replace(CFG, backend="folder", path="pictures", identities=7)
    with (
        data_at(pictures.parent),
        refused("params.yaml", key="gallery.identities", value=7, allowed="at most the 6 images"),
    ):
        galleries.load(cfg, WORLD)
    with refused("params.yaml", "no such folder", key="gallery.path", value="nothing", allowed="a folder of images"):
        galleries.load(replace(cfg, path="nothing"), WORLD)
    (project / "data/pictures/broken.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match="broken.png: not a readable image"):
        galleries.load(replace(cfg, identities=1), WORLD).faces(slice(0, 1))


@pytest.mark.parametrize("backend", ["folder", "diffusers"])
def test_the_stage_and_the_next_run_on_them(backend: str, project: Path, pictures: Path, ldm: Path):
    (project / "data/ours").symlink_to(pictures if backend == "folder" else ldm)
    (project / "data/pretrain").symlink_to(ROOT / "data/pretrain")
    settings = {"gallery.backend": backend, "gallery.path": "ours", "gallery.identities": 5,
                "gallery.diffusion": {"steps": 2, "batch": 2}, "world.size_px": 32}  # fmt: skip
    write_params(project, {**TINY, **settings})
    line = run("gallery")
    assert ("5 of 5 with a fixed crop" in line) == (backend == "diffusers")
    assert ("files skipped: 1" in line) == (backend == "folder")
    shards = Shards(project / "data/gallery")
    assert shards.column("identity").tolist() == list(range(5)) and shards.faces().shape == (5, 32, 32, 3)
    run("embed")
    x, _ = artifacts.read_rows("data/embed", "x_ref")
    assert x.shape == (5, 128)
