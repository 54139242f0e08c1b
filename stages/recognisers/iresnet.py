"""Checkpoints of arcface_torch, AdaFace, CVLface and HyperFace, on the one backbone `stages/backbones/iresnet.py`.

The architecture (blocks, widths, squeeze-excitation, sizes) is read from the tensors' keys and shapes. AdaFace's
layout, which CVLface and the released HyperFace models share, becomes arcface_torch's without loss: a shortcut without
weights becomes the identity, as a 1 x 1 convolution and a normalisation whose gain cancels its epsilon.
"""

import re
from collections.abc import Iterator, Mapping
from math import isqrt
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stages.backbones.iresnet import SHRINK, Iresnet
from stages.common import artifacts, devices
from stages.common.errors import InputError
from stages.foreign import checkpoints, published
from stages.foreign.published import Card, Published

CHUNK, CHUNK_CUDA = 16, 128  # faces a call
EPS = 1e-5  # of every normalisation, in all of these networks
STATE_DICTS = (
    "state_dict", "state_dict_backbone", "model", "net", "backbone", "model_state_dict", "net_state_dict", "network",
)  # fmt: skip  # where a checkpoint of several networks keeps the trained one
DEPTH = 4  # levels of mappings within mappings that are searched
COUNTERS = ("num_batches_tracked", "total_ops", "total_params")  # of normalisations, and of thop
LAST = ("fc.weight", "output_layer.3.weight")  # of arcface_torch and AdaFace
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
    """A recogniser on `Iresnet`, differentiable through `features`."""

    def __init__(self, card: Card, net: Iresnet, size: tuple[int, int]) -> None:
        """Hold a network and its card, on this rank's GPU where there is one."""
        self.device = devices.device()
        self.net = net.eval().requires_grad_(False).to(self.device)
        chunk = CHUNK_CUDA if self.device.type == "cuda" else CHUNK
        super().__init__(card, size, net.fc.out_features, chunk, self._forward)

    def features(self, x: Tensor, frame_px: float | None = None) -> Tensor:
        """Return un-normalised embeddings (b, d) of faces (b, h, w, 3) RGB float in [0, 255], with gradients."""
        x = self.frame.of_tensor(x.permute(0, 3, 1, 2), frame_px)
        x = x.flip(1) if self.card.colour == "bgr" else x
        mean, std = (torch.from_numpy(value).reshape(-1, 1, 1).to(x.device) for value in (self.mean, self.std))
        return self._exactly(((x - mean) / std).to(self.device)).to(x.device)

    @torch.inference_mode()
    def _forward(self, x: np.ndarray) -> np.ndarray:
        return self._exactly(torch.from_numpy(x).to(self.device)).cpu().numpy()

    def _exactly(self, x: Tensor) -> Tensor:
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
            return self.net(x.contiguous())  # channels_last rounds four times as coarsely on CPUs, and is no faster


def load(network: str | Path) -> Checkpoint:
    """Return the recogniser in a folder: one checkpoint, and its card.

    Raises InputError when the file holds code or is broken, when a tensor is missing, left over or of a
    wrong shape, or when the sizes are not the card's.
    """
    file, card = artifacts.weights_of(network, *checkpoints.SUFFIXES), published.read(network)
    card.verify(file)
    tensors = arcface_layout(file, state_dict(file))
    net, size = build(file, tensors, card.size)
    card.check(file, size, net.fc.out_features)
    return Checkpoint(card, net, size)


def state_dict(file: str | Path) -> dict[str, Tensor]:
    """Return the network's tensors in float32 by its own keys, without wrappers and what else the file holds.

    Class centres and counters of training are left out. Any other tensor stays, and `build` refuses it by its name.
    """
    mappings = dict(_mappings(checkpoints.read(file)))
    if not mappings:
        raise InputError(file, "no mapping of names to tensors", allowed="a state dict, alone or under a name")
    networks = [(name, prefix) for name, tensors in mappings.items() for prefix in _prefixes(tensors)]
    usual = [network for network in networks if network[0].rpartition("/")[2] in STATE_DICTS]
    if len(networks) > 1 and len(usual) != 1:
        paths = _listed([f"{name}/{prefix}" for name, prefix in networks])
        raise InputError(file, f"{len(networks)} networks ({paths})", allowed=f"one, or one under {STATE_DICTS}")
    name, prefix = (usual or networks or [(max(mappings, key=lambda name: len(mappings[name])), "")])[0]
    tensors = _without_training(mappings[name], prefix)
    file_size = Path(file).stat().st_size
    if odd := [key for key, value in tensors.items() if not _holds_floats(value, file_size)]:
        raise InputError(file, "not floats in full, or a bare number", key=_listed(odd), allowed="tensors of floats")
    if broken := [key for key, value in tensors.items() if not torch.isfinite(value.float()).all()]:
        raise InputError(file, "NaN or infinity", key=_listed(broken), allowed="finite tensors")
    return {key: value.float() for key, value in tensors.items()}


def _mappings(content: Any) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Yield the path and the tensors of every mapping within mappings that has some; each mapping once."""
    queue, visited = [("", content)], set()
    while queue:
        path, value = queue.pop(0)
        if isinstance(value, Mapping) and id(value) not in visited and path.count("/") < DEPTH:
            visited.add(id(value))
            named = {key: item for key, item in value.items() if isinstance(key, str)}
            if tensors := {key: item for key, item in named.items() if isinstance(item, Tensor)}:
                yield path, tensors
            queue += [(f"{path}/{key}", item) for key, item in named.items()]


def _prefixes(tensors: Mapping[str, Tensor]) -> list[str]:
    """Return what stands before the keys of each network that is among the tensors."""
    stems = {"input_layer.0.weight": "body.", "conv1.weight": "layer1."}
    stemmed = [(key.removesuffix(stem), then) for key in tensors for stem, then in stems.items() if key.endswith(stem)]
    return [prefix for prefix, then in stemmed if any(key.startswith(prefix + then) for key in tensors)]


def _without_training(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors without their prefix, counters, and the head that training put behind the last layer.

    A head is a matrix with a row or a column for each class, as long as an embedding, and what shares its name.
    """
    bare = {key.removeprefix(prefix): v for key, v in tensors.items() if key.rpartition(".")[2] not in COUNTERS}
    fc = next((bare[key] for key in LAST if key in bare and bare[key].ndim == 2), None)
    if fc is None:
        return bare
    heads = {k for k, v in bare.items() if k not in LAST and v.ndim == 2 and sum(n == len(fc) for n in v.shape) == 1}
    names = {name for key in heads if (name := key.rpartition(".")[0])}
    return {key: v for key, v in bare.items() if key not in heads and key.rpartition(".")[0] not in names}


def _holds_floats(value: Tensor, file_size: int) -> bool:
    """Return whether a tensor holds floats of its own, and takes no more bytes than the file."""
    plain = value.layout == torch.strided and value.is_floating_point() and not value.is_meta and value.ndim > 0
    return plain and value.numel() * value.element_size() <= file_size


def arcface_layout(file: str | Path, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors under arcface_torch's keys; those of that layout as they are."""
    if "conv1.weight" in tensors:
        return dict(tensors)
    if "input_layer.0.weight" not in tensors:
        problem = f"none of an IResNet: {_listed(list(tensors))}"
        allowed = "conv1.weight (arcface_torch) or input_layer.0.weight (AdaFace, CVLface) among them"
        raise InputError(file, problem, key="tensors", allowed=allowed)
    level, block = 0, 0
    ours: dict[str, str] = {}  # body.N to layerL.B: a level begins where a shortcut has weights
    renamed: dict[str, Tensor] = {}
    for n in sorted({int(key.split(".")[1]) for key in tensors if re.match(r"body\.\d+\.", key)}):
        begins = n == 0 or f"body.{n}.shortcut_layer.0.weight" in tensors
        level, block = (level + 1, 0) if begins else (level, block + 1)
        ours[f"body.{n}"] = f"layer{level}.{block}"
    for key, value in tensors.items():
        body = re.match(r"(body\.\d+)\.(.+)\.(\w+)$", key)
        part, name = key.rpartition(".")[::2]
        if body and body[2] in BLOCK:
            renamed[f"{ours[body[1]]}.{BLOCK[body[2]]}.{body[3]}"] = value
        else:
            renamed[f"{ENDS[part]}.{name}" if part in ENDS else key] = value  # `build` refuses an unknown name
    if "shortcut_layer" not in " ".join(key for key in tensors if key.startswith("body.0.")):
        width = len(tensors["input_layer.0.weight"])
        renamed["layer1.0.downsample.0.weight"] = torch.eye(width)[:, :, None, None]
        gain = torch.full((width,), (1 + EPS) ** 0.5)  # cancels the root of variance 1 plus epsilon
        identity = dict(zip(NORM, (gain, torch.zeros(width), torch.zeros(width), torch.ones(width)), strict=True))
        renamed |= {f"layer1.0.downsample.1.{name}": value for name, value in identity.items()}
    if "features.running_mean" in renamed:
        mean = renamed["features.running_mean"]
        renamed = {"features.weight": torch.ones_like(mean), "features.bias": torch.zeros_like(mean)} | renamed
    return renamed


def build(
    file: str | Path, tensors: Mapping[str, Tensor], size: tuple[int, int] | None = None
) -> tuple[Iresnet, tuple[int, int]]:
    """Return the network of exactly these tensors, in arcface_torch's layout, and its input's height and width.

    size: height and width on the card. Without it the last layer's positions form a square, or 7 to 6 as of 112 x 96.
    """
    levels = [f"layer{i}" for i in range(1, 5)]
    blocks = [len({key.split(".")[1] for key in tensors if key.startswith(f"{level}.")}) for level in levels]
    needed = ["conv1.weight", "fc.weight", *(f"{level}.0.conv2.weight" for level in levels)]
    _refuse(file, "missing tensors", [key for key in needed if key not in tensors or tensors[key].ndim < 2])
    colours, fc = tensors["conv1.weight"].shape[1], tensors["fc.weight"]
    widths = [len(tensors[f"{level}.0.conv2.weight"]) for level in levels]
    positions = fc.shape[1] // max(widths[-1], 1)
    side = isqrt(positions)
    likely = [(size[0] // SHRINK, size[1] // SHRINK)] if size else []
    likely += [(side, side), (side + 1, side)]
    grid = next((g for g in likely if g[0] * g[1] == positions), (0, 0))
    if fc.shape[1] != widths[-1] * grid[0] * grid[1] or colours != 3 or not all(fc.shape):
        shapes = tuple(tensors["conv1.weight"].shape), tuple(fc.shape)
        allowed = f"three colours, and as many columns as {widths[-1]} channels at the positions of a square"
        raise InputError(file, key="shapes of conv1.weight and fc.weight", value=shapes, allowed=allowed)
    height_width = SHRINK * grid[0], SHRINK * grid[1]
    with torch.device("meta"):  # no weights are drawn
        squeezed = any(".se." in key for key in tensors)
        net = Iresnet(widths, len(fc), height_width, colours, blocks, squeezed)
    expected = net.state_dict()
    counters = {key: torch.zeros((), dtype=torch.long) for key in expected if key.endswith("num_batches_tracked")}
    _refuse(file, "missing tensors", [key for key in expected if key not in tensors and key not in counters])
    _refuse(file, "tensors left over", [key for key in tensors if key not in expected])
    _refuse(file, "wrong shapes", [
        f"{key} {tuple(tensors[key].shape)} instead of {tuple(value.shape)}"
        for key, value in expected.items() if key not in counters and tensors[key].shape != value.shape
    ])  # fmt: skip
    net.load_state_dict({**tensors, **counters}, assign=True)
    return net, height_width


def _refuse(file: str | Path, problem: str, keys: list[str]) -> None:
    if keys:
        allowed = "the tensors of an IResNet, in arcface_torch's names"
        raise InputError(file, f"{problem}: {_listed(keys)}", allowed=allowed)


def _listed(keys: list[str]) -> str:
    return ", ".join(keys[:3]) + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")
