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
from stages.foreign import checkpoints, published
from stages.foreign.published import Card, Published

CHUNK, CHUNK_CUDA = 16, 128  # faces a call
EPS = 1e-5  # of every normalisation, in all of these networks
STATE_DICTS = (
    "state_dict", "state_dict_backbone", "model", "net", "backbone", "model_state_dict", "net_state_dict", "network",
)  # fmt: skip  # where a checkpoint of several networks keeps the trained one
DEPTH = 4  # mappings within mappings that are looked at
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
    """A recogniser on `Iresnet`; a `Recogniser`, and differentiable through `features`."""

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

    Raises ValueError with one line when the file carries code or is broken, when a tensor is missing, left over or of a
    wrong shape, or when the sizes are not the card's.
    """
    file, card = artifacts.weights_of(network, *checkpoints.SUFFIXES), published.read(network)
    card.verify(file)
    tensors = arcface_layout(file, state_dict(file))
    net, size = build(file, tensors, card.size)
    card.check(file, size, net.fc.out_features)
    return Checkpoint(card, net, size)


def state_dict(file: str | Path) -> dict[str, Tensor]:
    """Return the network's tensors in float32 by its own keys, out of whatever was wrapped around them or lies beside.

    Class centres and counters of training are left out. Whatever else is left over stays, and is refused by its name.
    """
    held = dict(_mappings(checkpoints.read(file)))
    if not held:
        raise ValueError(f"{file}: no mapping of names to tensors; allowed: a state dict, alone or under a name")
    places = [(name, prefix) for name, tensors in held.items() for prefix in _prefixes(tensors)]
    usual = [place for place in places if place[0].rpartition("/")[2] in STATE_DICTS]
    if len(places) > 1 and len(usual) != 1:
        found = _few([f"{name}/{prefix}" for name, prefix in places])
        raise ValueError(f"{file}: {len(places)} networks ({found}); allowed: one, or one under {STATE_DICTS}")
    name, prefix = (usual or places or [(max(held, key=lambda name: len(held[name])), "")])[0]
    tensors = _own(held[name], prefix)
    most = Path(file).stat().st_size
    if odd := [key for key, value in tensors.items() if not _whole(value, most)]:
        raise ValueError(f"{file}: not floats in full, or a bare number in {_few(odd)}; allowed: tensors of floats")
    if broken := [key for key, value in tensors.items() if not torch.isfinite(value.float()).all()]:
        raise ValueError(f"{file}: NaN or infinity in {_few(broken)}; allowed: finite tensors")
    return {key: value.float() for key, value in tensors.items()}


def _mappings(held: Any) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Yield the tensors of every mapping within mappings that has some, with its path; each mapping once."""
    todo, seen = [("", held)], set()
    while todo:
        path, found = todo.pop(0)
        if isinstance(found, Mapping) and id(found) not in seen and path.count("/") < DEPTH:
            seen.add(id(found))
            named = {key: value for key, value in found.items() if isinstance(key, str)}
            if tensors := {key: value for key, value in named.items() if isinstance(value, Tensor)}:
                yield path, tensors
            todo += [(f"{path}/{key}", value) for key, value in named.items()]


def _prefixes(tensors: Mapping[str, Tensor]) -> list[str]:
    """Return what stands before the keys of each network that is among the tensors."""
    stems = {"input_layer.0.weight": "body.", "conv1.weight": "layer1."}
    found = [(key.removesuffix(first), then) for key in tensors for first, then in stems.items() if key.endswith(first)]
    return [prefix for prefix, then in found if any(key.startswith(prefix + then) for key in tensors)]


def _own(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors without their prefix, without counters, and without what training had behind the last layer.

    That is a matrix of a row or a column for each class, as long as an embedding, and what shares its name.
    """
    found = {key.removeprefix(prefix): v for key, v in tensors.items() if key.rpartition(".")[2] not in COUNTERS}
    fc = next((found[key] for key in LAST if key in found and found[key].ndim == 2), None)
    if fc is None:
        return found
    heads = {k for k, v in found.items() if k not in LAST and v.ndim == 2 and sum(n == len(fc) for n in v.shape) == 1}
    names = {name for key in heads if (name := key.rpartition(".")[0])}
    return {key: v for key, v in found.items() if key not in heads and key.rpartition(".")[0] not in names}


def _whole(value: Tensor, most: int) -> bool:
    """Return whether a tensor has floats of its own, at most as many bytes as the file."""
    plain = value.layout == torch.strided and value.is_floating_point() and not value.is_meta and value.ndim > 0
    return plain and value.numel() * value.element_size() <= most


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


def build(
    file: str | Path, tensors: Mapping[str, Tensor], size: tuple[int, int] | None = None
) -> tuple[Iresnet, tuple[int, int]]:
    """Return the network of exactly these tensors, in arcface_torch's layout, and its input's height and width.

    size: what the card says of them; else the last layer's positions are those of a square, or of 7 to 6 as 112 x 96.
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
        raise ValueError(
            f"{file}: conv1.weight {tuple(tensors['conv1.weight'].shape)}, fc.weight {tuple(fc.shape)}; allowed: three "
            f"colours, and as many columns as {widths[-1]} channels at the positions of a square"
        )
    found = SHRINK * grid[0], SHRINK * grid[1]
    with torch.device("meta"):  # no weights are drawn
        squeezed = any(".se." in key for key in tensors)
        net = Iresnet(widths, len(fc), found, colours, blocks, squeezed)
    expected = net.state_dict()
    counters = {key: torch.zeros((), dtype=torch.long) for key in expected if key.endswith("num_batches_tracked")}
    _refuse(file, "missing tensors", [key for key in expected if key not in tensors and key not in counters])
    _refuse(file, "tensors left over", [key for key in tensors if key not in expected])
    _refuse(file, "wrong shapes", [
        f"{key} {tuple(tensors[key].shape)} instead of {tuple(value.shape)}"
        for key, value in expected.items() if key not in counters and tensors[key].shape != value.shape
    ])  # fmt: skip
    net.load_state_dict({**tensors, **counters}, assign=True)
    return net, found


def _refuse(file: str | Path, what: str, keys: list[str]) -> None:
    if keys:
        raise ValueError(f"{file}: {what}: {_few(keys)}; allowed: those of an IResNet, in arcface_torch's names")


def _few(keys: list[str]) -> str:
    return ", ".join(keys[:3]) + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")
