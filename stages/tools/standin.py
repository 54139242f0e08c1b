"""Write random weights in a published layout: `python -m stages.tools.standin arc2face FOLDER --size tiny`.

arc2face        what stages/generators/arc2face.py reads, with LCM-LoRA, and its recogniser arcface/;
                `--size full` is as large as published (5 GB)
vec2face        what stages/generators/vec2face.py reads, its recogniser arcface/, and magface/ of AttrOP's quality
recognisers     arcface/ and backbone/, networks for recognisers `onnx` and `iresnet`; 512-d
unconditional   what stages/galleries/diffusers.py reads: a latent diffusion model, as CompVis/ldm-celebahq-256

They show, before anything is downloaded, that a setting works and how fast it is; the faces are noise. Names and shapes
of tensors are those of the published files, old spellings included. Files that exist are never overwritten.
"""

import argparse
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stages.backbones.iresnet import Iresnet
from stages.backbones.vec2face import Vec2Face
from stages.common import artifacts
from stages.common.errors import InputError
from stages.foreign import pretrained
from stages.tools import command

SIZES: dict[str, dict[str, Any]] = {
    "tiny": {"hidden": 512, "layers": 1, "heads": 8, "vocabulary": 64, "unet": (16, 32), "vae": (8, 16), "px": 32},
    "small": {"hidden": 768, "layers": 2, "heads": 12, "vocabulary": 64, "unet": (64, 128, 256, 256),
              "vae": (32, 64, 64, 64), "px": 256},
    "full": {"hidden": 768, "layers": 12, "heads": 12, "vocabulary": 49408, "unet": (320, 640, 1280, 1280),
             "vae": (128, 256, 512, 512), "px": 512},
}  # fmt: skip
VEC2FACE: dict[str, dict[str, Any]] = {  # width, blocks of encoder and decoder, channels of the image decoder
    "tiny": {"width": 48, "depths": (1, 1), "z_channels": 8, "channels": [32] * 5},
    "small": {"width": 192, "depths": (4, 2), "z_channels": 64, "channels": [32, 32, 64, 64, 128]},
    "full": {"width": 768, "depths": (12, 8), "z_channels": 256, "channels": [128, 128, 256, 256, 512]},
}
OLD_ATTENTION = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}  # as in SD 1.5's vae
RANK = 4  # of the LoRA
ROWS, FACE_PX, POOL_PX = 512, 112, 8  # the recognisers' row and input; what the one in ONNX averages along an axis
CARD = Path(__file__).parent.parent / "recognisers/cards/insightface.json"
IRESNET = {"tiny": (4, 8, 8, 16), "small": (16, 32, 64, 128), "full": (64, 128, 256, 512)}


def arc2face(folder: Path, size: str) -> None:
    """Write Arc2Face's encoder and UNet, Stable Diffusion's vae, tokenizer and scheduler, and LCM-LoRA."""
    torch.manual_seed(0)
    diffusers, transformers = pretrained.library("diffusers"), pretrained.library("transformers")
    s = SIZES[size]
    text = transformers.CLIPTextConfig(
        vocab_size=s["vocabulary"], hidden_size=s["hidden"], intermediate_size=4 * s["hidden"],
        num_hidden_layers=s["layers"], num_attention_heads=s["heads"], projection_dim=s["hidden"],
        **tokenizer(folder / "tokenizer", s["vocabulary"]),
    )  # fmt: skip
    encoder = transformers.CLIPTextModel(text)
    (folder / "encoder").mkdir(parents=True)
    text.save_pretrained(folder / "encoder")
    tensors = {f"text_model.{key}": value for key, value in encoder.state_dict().items()}  # before transformers 5
    torch.save(tensors, folder / "encoder/pytorch_model.bin")
    blocks = len(s["unet"]) - 1
    unet = diffusers.UNet2DConditionModel(
        sample_size=s["px"] // 2 ** (len(s["vae"]) - 1), block_out_channels=s["unet"],
        layers_per_block=2 if size == "full" else 1, cross_attention_dim=s["hidden"],
        attention_head_dim=8, norm_num_groups=min(s["unet"][0], 32),
        down_block_types=(*["CrossAttnDownBlock2D"] * blocks, "DownBlock2D"),
        up_block_types=("UpBlock2D", *["CrossAttnUpBlock2D"] * blocks),
    )  # fmt: skip
    unet.save_pretrained(folder / "arc2face")
    lora(unet, folder / "lcm-lora-sdv1-5/pytorch_lora_weights.safetensors")
    levels = len(s["vae"])
    vae = diffusers.AutoencoderKL(
        block_out_channels=s["vae"], latent_channels=4, norm_num_groups=min(s["vae"][0], 32), sample_size=s["px"],
        layers_per_block=2 if size == "full" else 1, down_block_types=["DownEncoderBlock2D"] * levels,
        up_block_types=["UpDecoderBlock2D"] * levels,
    )  # fmt: skip
    vae.save_pretrained(folder / "vae")
    write_tensors(folder / "vae/diffusion_pytorch_model.safetensors", old_attention(vae.state_dict()))
    diffusers.PNDMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", skip_prk_steps=True, steps_offset=1
    ).save_pretrained(folder / "scheduler")


def tokenizer(folder: Path, vocabulary: int) -> dict[str, int]:
    """Write CLIP's tokenizer with the few tokens that Arc2Face's prompt has; returns the special ones' numbers."""
    letters = sorted(set("photo of a id person") - {" "})
    words = [*letters, *(f"{letter}</w>" for letter in letters), "id</w>"]
    start, end = "<|startoftext|>", "<|endoftext|>"
    folder.mkdir(parents=True)
    numbers = {word: i for i, word in enumerate(words)} | {start: vocabulary - 2, end: vocabulary - 1}
    (folder / "vocab.json").write_text(json.dumps(numbers))
    (folder / "merges.txt").write_text("#version: 0.2\ni d</w>\n")
    config = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, "bos_token": start, "eos_token": end,
              "unk_token": end, "pad_token": end}  # fmt: skip
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return {"bos_token_id": numbers[start], "eos_token_id": numbers[end], "pad_token_id": numbers[end]}


def lora(unet: Any, file: Path) -> None:
    """Write a LoRA of a UNet's attention, spelt as latent-consistency/lcm-lora-sdv1-5 is (kohya's way)."""
    tensors: dict[str, Tensor] = {}
    for name, module in unet.named_modules():
        if isinstance(module, torch.nn.Linear) and name.rsplit(".", 1)[-1] in ("to_q", "to_k", "to_v"):
            key = f"lora_unet_{name.replace('.', '_')}"
            tensors[f"{key}.lora_down.weight"] = torch.randn(RANK, module.in_features) / module.in_features**0.5
            tensors[f"{key}.lora_up.weight"] = torch.randn(module.out_features, RANK) / RANK**0.5
            tensors[f"{key}.alpha"] = torch.tensor(float(RANK))
    write_tensors(file, tensors)


def vec2face(folder: Path, size: str, d: int = 512) -> dict[str, Tensor]:
    """Write Vec2Face's checkpoint for rows (b, d); returns its tensors."""
    torch.manual_seed(0)
    state = Vec2Face(d, **VEC2FACE[size]).state_dict()
    folder.mkdir(parents=True, exist_ok=True)
    torch.save({"model_vec2face": state}, folder / "vec2face_generator.pth")
    return state


def arcface(folder: Path, size: str) -> None:
    """Write the recogniser whose rows Arc2Face draws."""
    linear(folder / "arcface")


def glint360k(folder: Path, size: str) -> None:
    """Write the recogniser whose rows Vec2Face draws, and the one whose norm says how good a picture is."""
    for seed, name in enumerate(("arcface", "magface")):
        iresnet(folder / name, size, (3, 13, 30, 3), seed)


def recognisers(folder: Path, size: str) -> None:
    """Write a recogniser as ONNX, and one as a checkpoint of arcface_torch."""
    linear(folder / "arcface")
    iresnet(folder / "backbone", size, (3, 4, 14, 3))


def linear(network: Path, kernel: np.ndarray | None = None) -> None:
    """Write a recogniser as ONNX: a linear map (512, 3 * 14 * 14), random if not given, of a face shrunken to 14 px."""
    onnx = pretrained.library("onnx")
    rng, pooled = np.random.default_rng(0), 3 * (FACE_PX // POOL_PX) ** 2
    kernel = rng.standard_normal((ROWS, pooled)) / pooled**0.5 if kernel is None else kernel
    weights = {"kernel": kernel, "offset": np.zeros(ROWS)}
    nodes = [
        onnx.helper.make_node("AveragePool", ["image"], ["small"], kernel_shape=[POOL_PX] * 2, strides=[POOL_PX] * 2),
        onnx.helper.make_node("Flatten", ["small"], ["flat"]),
        onnx.helper.make_node("Gemm", ["flat", "kernel", "offset"], ["rows"], transB=1),
    ]
    ends = {"image": ["n", 3, FACE_PX, FACE_PX], "rows": ["n", ROWS]}
    first, last = (onnx.helper.make_tensor_value_info(k, onnx.TensorProto.FLOAT, v) for k, v in ends.items())
    constants = [onnx.numpy_helper.from_array(v.astype(np.float32), k) for k, v in weights.items()]
    graph = onnx.helper.make_graph(nodes, "standin", [first], [last], constants)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, carded(network) / "arcface.onnx")


def carded(network: Path) -> Path:
    """Make the folder of a network, and put its card there."""
    network.mkdir(parents=True)
    shutil.copy(CARD, network / artifacts.CARD)
    return network


def iresnet(network: Path, size: str, full: tuple[int, ...], seed: int = 0) -> None:
    """Write a checkpoint of arcface_torch; full: the blocks of its levels at the published size."""
    torch.manual_seed(seed)
    net = Iresnet(IRESNET[size], ROWS, FACE_PX, blocks=full if size == "full" else (1, 1, 1, 1))
    torch.save(net.state_dict(), carded(network) / "backbone.pth")


def unconditional(folder: Path, size: str) -> None:
    """Write a latent diffusion model of a UNet, a VQ autoencoder with tensors in .bin files, and DDIM."""
    torch.manual_seed(0)
    diffusers = pretrained.library("diffusers")
    wide = {"tiny": 16, "small": 64, "full": 224}[size]
    latent_px = {"tiny": 8, "small": 32, "full": 64}[size]
    unet = diffusers.UNet2DModel(
        sample_size=latent_px, in_channels=3, out_channels=3, layers_per_block=1, attention_head_dim=8,
        block_out_channels=(wide, 2 * wide), norm_num_groups=min(wide, 32),
        down_block_types=("DownBlock2D", "AttnDownBlock2D"), up_block_types=("AttnUpBlock2D", "UpBlock2D"),
    )  # fmt: skip
    vqvae = diffusers.VQModel(
        block_out_channels=(wide, 2 * wide), latent_channels=3, num_vq_embeddings=64, norm_num_groups=min(wide, 32),
        down_block_types=["DownEncoderBlock2D"] * 2, up_block_types=["UpDecoderBlock2D"] * 2,
    )  # fmt: skip
    for name, net in (("unet", unet), ("vqvae", vqvae)):
        net.save_config(folder / name)
        torch.save(old_attention(net.state_dict()), folder / name / "diffusion_pytorch_model.bin")
    diffusers.DDIMScheduler(clip_sample=False, beta_schedule="scaled_linear").save_pretrained(folder / "scheduler")
    index = {"_class_name": "LDMPipeline", "scheduler": ["diffusers", "DDIMScheduler"],
             "unet": ["diffusers", "UNet2DModel"], "vqvae": ["diffusers", "VQModel"]}  # fmt: skip
    (folder / "model_index.json").write_text(json.dumps(index))


def old_attention(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of an autoencoder with its attention spelt as before diffusers 0.16."""
    renamed = {}
    for key, value in tensors.items():
        for new, old in OLD_ATTENTION.items():
            key = key.replace(f".{new}.", f".{old}.")
        renamed[key] = value.contiguous()
    return renamed


def write_tensors(file: Path, tensors: dict[str, Tensor]) -> None:
    """Write a safetensors file."""
    from safetensors.torch import save_file

    file.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, file, {"format": "pt"})


KINDS: Mapping[str, Sequence[Callable[[Path, str], object]]] = {
    "arc2face": (arc2face, arcface), "vec2face": (vec2face, glint360k), "recognisers": (recognisers,),
    "unconditional": (unconditional,),
}  # fmt: skip
WRITTEN = {
    "arc2face": ("encoder", "arc2face", "vae", "tokenizer", "scheduler", "lcm-lora-sdv1-5", "arcface"),
    "vec2face": ("vec2face_generator.pth", "arcface", "magface"),
    "recognisers": ("arcface", "backbone"),
    "unconditional": ("unet", "vqvae", "scheduler", "model_index.json"),
}


def main(arguments: list[str]) -> str:
    """Write the weights; raises ValueError where there are some already, which may be the real ones."""
    parser = argparse.ArgumentParser("python -m stages.tools.standin", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("kind", choices=list(KINDS))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", choices=list(SIZES), default="tiny")
    args = parser.parse_args(arguments)
    existing = [args.folder / name for name in WRITTEN[args.kind] if (args.folder / name).exists()]
    if existing:
        raise InputError(existing[0], "exists already", allowed="a folder without it")
    for write in KINDS[args.kind]:
        write(args.folder, args.size)
    return f"{args.folder}: random weights in the layout of {args.kind}"


if __name__ == "__main__":
    command.run(main)
