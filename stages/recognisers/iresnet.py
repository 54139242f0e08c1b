"""Checkpoints of arcface_torch, AdaFace, CVLface and HyperFace, on the one backbone `stages/backbones/iresnet.py`.

The architecture (blocks, widths, squeeze-excitation, sizes) is read from the tensors' keys and shapes. AdaFace's
layout, which CVLface and the released HyperFace models share, becomes arcface_torch's without loss: a shortcut without
weights becomes the identity, as a 1 x 1 convolution and a normalisation whose gain cancels its epsilon.
"""

import pickle
import re
from collections.abc import Mapping
from math import isqrt
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from stages.backbones.iresnet import SHRINK, Iresnet
from stages.recognisers import published
from stages.recognisers.published import Card, Published

CHUNK, CHUNK_CUDA = 16, 128  # faces a call
EPS = 1e-5  # of every normalisation, in all of these networks
LIGHTNING = (
    "pytorch_lightning.utilities.parsing", "lightning.pytorch.utilities.parsing", "lightning_fabric.utilities.data",
    "lightning.fabric.utilities.data",
)  # fmt: skip  # whose AttributeDict, a mapping by another name, holds the hyperparameters of a checkpoint
STATE_DICTS = ("state_dict", "state_dict_backbone")  # Lightning; arcface_torch's checkpoint_gpu_0.pt
PREFIXES = ("module.", "model.", "net.")  # DistributedDataParallel; Lightning and Hugging Face; CVLface
NORM = ("weight", "bias", "running_mean", "running_var")
BLOCK = {
    "res_layer.0": "bn1", "res_layer.1": "conv1", "res_layer.2": "bn2", "res_layer.3": "prelu", "res_layer.4": "conv2",
    "res_layer.5": "bn3", "res_layer.se_block.fc1": "se.fc1", "res_layer.se_block.fc2": "se.fc2",
    "shortcut_layer.0": "downsample.0", "shortcut_layer.1": "downsample.1",
}  # fmt: skip
ENDS = {
    "input_layer.0": "conv1", "input_layer.1": "bn1", "input_layer.2": "prelu",
    "output_layer.0": "bn2", "output_layer.3": "fc", "output_layer.4": "features",
}  # fmt: skip


class Checkpoint(Published):
    """A recogniser on `Iresnet`; a `Recogniser`, and differentiable through `features`."""

    def __init__(self, card: Card, net: Iresnet, size_px: int) -> None:
        """Hold a network and its card, on the accelerator where there is one."""
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.net = net.eval().requires_grad_(False).to(self.device)
        chunk = CHUNK_CUDA if self.device.type == "cuda" else CHUNK
        super().__init__(card, size_px, net.fc.out_features, chunk, self._forward)

    def features(self, x: Tensor) -> Tensor:
        """Return un-normalised embeddings (b, d) of faces (b, h, w, 3) RGB float in [0, 255], with gradients."""
        x = x.permute(0, 3, 1, 2)
        if x.shape[2:] != (self.size_px, self.size_px):
            x = nn.functional.interpolate(x, size=self.size_px, mode="area")
        x = x.flip(1) if self.card.colour == "bgr" else x
        mean, std = (torch.from_numpy(value).reshape(-1, 1, 1).to(x.device) for value in (self.mean, self.std))
        return self._exactly(((x - mean) / std).to(self.device)).to(x.device)

    @torch.inference_mode()
    def _forward(self, x: np.ndarray) -> np.ndarray:
        return self._exactly(torch.from_numpy(x).to(self.device)).cpu().numpy()

    def _exactly(self, x: Tensor) -> Tensor:
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
            return self.net(x.contiguous())  # channels_last rounds four times as coarsely on CPUs, and is no faster


def load(file: str | Path, card_file: str | Path) -> Checkpoint:
    """Return the recogniser in `file` (.pth, .pt, .ckpt or .safetensors), its faces prepared as the card says.

    Raises ValueError with one line when the file carries code or is broken, when a tensor is missing, left over or of a
    wrong shape, or when the sizes are not the card's.
    """
    card = published.read(file, card_file)
    tensors = arcface_layout(file, state_dict(file))
    net, size_px = build(file, tensors)
    card.check(file, size_px=size_px, embedding_size=net.fc.out_features)
    return Checkpoint(card, net, size_px)


def state_dict(file: str | Path) -> dict[str, Tensor]:
    """Return the network's tensors in float32, their keys without the prefixes of whatever wrapped it."""
    found = _read(Path(file))
    found = next((found[key] for key in STATE_DICTS if isinstance(found, Mapping) and key in found), found)
    if not (isinstance(found, Mapping) and found and all(isinstance(v, Tensor) for v in found.values())):
        raise ValueError(f"{file}: no mapping of names to tensors; allowed: a state dict, or one under {STATE_DICTS}")
    if any(key.startswith("head.") for key in found):  # of the training's classes, in AdaFace's checkpoints
        found = {key: value for key, value in found.items() if not key.startswith("head.")}
    while found and (prefix := next((p for p in PREFIXES if all(key.startswith(p) for key in found)), "")):
        found = {key.removeprefix(prefix): value for key, value in found.items()}
    tensors = {key: value.float() for key, value in found.items() if not key.endswith("num_batches_tracked")}
    broken = [key for key, value in tensors.items() if not (value.ndim and torch.isfinite(value).all())]
    if broken:
        raise ValueError(f"{file}: NaN, infinity or a bare number in {_few(broken)}; allowed: finite tensors")
    return tensors


def _read(file: Path) -> Any:
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        with torch.serialization.safe_globals([(dict, f"{package}.AttributeDict") for package in LIGHTNING]):
            return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL ([\w.]+)", str(error))
        what = f"carries code ({named[1]})" if named else "carries something else than tensors"
        raise ValueError(
            f"{file}: {what} and was not opened; allowed: tensors, as torch.save or safetensors write"
        ) from error
    except Exception as error:  # bytes that are no checkpoint fail anywhere in the readers, by any kind of error
        raise ValueError(f"{file}: not a readable checkpoint: {' '.join(str(error).split())[:200]}") from error


def arcface_layout(file: str | Path, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors under arcface_torch's keys; those of that layout as they are."""
    if "conv1.weight" in tensors:
        return dict(tensors)
    if "input_layer.0.weight" not in tensors:
        raise ValueError(
            f"{file}: neither conv1.weight (arcface_torch) nor input_layer.0.weight (AdaFace, CVLface) is in it; "
            f"found: {_few(list(tensors))}"
        )
    level, block = 0, 0
    ours: dict[str, str] = {}  # body.N to layerL.B: a level begins where a shortcut has weights
    out: dict[str, Tensor] = {}
    for n in sorted({int(key.split(".")[1]) for key in tensors if re.match(r"body\.\d+\.", key)}):
        begins = n == 0 or f"body.{n}.shortcut_layer.0.weight" in tensors
        level, block = (level + 1, 0) if begins else (level, block + 1)
        ours[f"body.{n}"] = f"layer{level}.{block}"
    for key, value in tensors.items():
        body = re.match(r"(body\.\d+)\.(.+)\.(\w+)$", key)
        part, name = key.rpartition(".")[::2]
        if body and body[2] in BLOCK:
            out[f"{ours[body[1]]}.{BLOCK[body[2]]}.{body[3]}"] = value
        else:
            out[f"{ENDS[part]}.{name}" if part in ENDS else key] = value  # one left over is refused later, by its name
    if "shortcut_layer" not in " ".join(key for key in tensors if key.startswith("body.0.")):
        width = len(tensors["input_layer.0.weight"])
        out["layer1.0.downsample.0.weight"] = torch.eye(width)[:, :, None, None]
        gain = torch.full((width,), (1 + EPS) ** 0.5)  # over the root of variance 1 and epsilon: 1
        still = dict(zip(NORM, (gain, torch.zeros(width), torch.zeros(width), torch.ones(width)), strict=True))
        out |= {f"layer1.0.downsample.1.{name}": value for name, value in still.items()}
    if "features.running_mean" in out:
        mean = out["features.running_mean"]
        out = {"features.weight": torch.ones_like(mean), "features.bias": torch.zeros_like(mean)} | out
    return out


def build(file: str | Path, tensors: Mapping[str, Tensor]) -> tuple[Iresnet, int]:
    """Return the network of exactly these tensors, in arcface_torch's layout, and its input's side in pixels."""
    levels = [f"layer{i}" for i in range(1, 5)]
    blocks = [len({key.split(".")[1] for key in tensors if key.startswith(f"{level}.")}) for level in levels]
    needed = ["conv1.weight", "fc.weight", *(f"{level}.0.conv2.weight" for level in levels)]
    _refuse(file, "missing tensors", [key for key in needed if key not in tensors or tensors[key].ndim < 2])
    colours, fc = tensors["conv1.weight"].shape[1], tensors["fc.weight"]
    widths = [len(tensors[f"{level}.0.conv2.weight"]) for level in levels]
    side = isqrt(fc.shape[1] // widths[-1])
    if fc.shape[1] != widths[-1] * side**2 or colours != 3:
        raise ValueError(
            f"{file}: conv1.weight {tuple(tensors['conv1.weight'].shape)}, fc.weight {tuple(fc.shape)}; allowed: three "
            f"colours, and as many columns as {widths[-1]} channels at the positions of a square"
        )
    with torch.device("meta"):  # no weights are drawn
        squeezed = any(".se." in key for key in tensors)
        net = Iresnet(widths, len(fc), SHRINK * side, colours, blocks, squeezed)
    expected = net.state_dict()
    counters = {key: torch.zeros((), dtype=torch.long) for key in expected if key.endswith("num_batches_tracked")}
    _refuse(file, "missing tensors", [key for key in expected if key not in tensors and key not in counters])
    _refuse(file, "tensors left over", [key for key in tensors if key not in expected])
    _refuse(file, "wrong shapes", [
        f"{key} {tuple(tensors[key].shape)} instead of {tuple(value.shape)}"
        for key, value in expected.items() if key not in counters and tensors[key].shape != value.shape
    ])  # fmt: skip
    net.load_state_dict({**tensors, **counters}, assign=True)
    return net, SHRINK * side


def _refuse(file: str | Path, what: str, keys: list[str]) -> None:
    if keys:
        raise ValueError(f"{file}: {what}: {_few(keys)}; allowed: those of an IResNet, in arcface_torch's names")


def _few(keys: list[str]) -> str:
    return ", ".join(keys[:3]) + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")
