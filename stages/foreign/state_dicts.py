"""The network in a checkpoint of arcface_torch, AdaFace, CVLface or HyperFace: its tensors, by arcface_torch's keys.

AdaFace's layout, which CVLface and the released HyperFace models share, becomes arcface_torch's without loss: a
shortcut without weights becomes the identity, as a 1 x 1 convolution and a normalisation whose gain cancels its
epsilon.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stages.common.errors import InputError
from stages.foreign import checkpoints

EPS = 1e-5  # of every normalisation, in all of these networks
STATE_DICTS = (
    "state_dict", "state_dict_backbone", "model", "net", "backbone", "model_state_dict", "net_state_dict", "network",
)  # fmt: skip  # where a checkpoint of several networks keeps the trained one
DEPTH = 4  # levels of mappings within mappings that are searched
COUNTERS = ("num_batches_tracked", "total_ops", "total_params")  # of normalisations, and of thop
FIRST = {
    "input_layer.0.weight": "body.", "conv1.weight": "layer1.", "layers.0.layers.0.weight": "conv_sep.",
    "patch_embed.proj.weight": "blocks.",
}  # fmt: skip  # layers that see the image, of AdaFace's and arcface_torch's networks, and what else these have
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


def state_dict(file: str | Path) -> dict[str, Tensor]:
    """Return the network's tensors in float32 by its own keys, without wrappers and what else the file holds.

    Class centres and counters of training are left out. Any other tensor stays, for the network to refuse by its name.
    """
    mappings = dict(_mappings(checkpoints.read(file)))
    if not mappings:
        raise InputError(file, "no mapping of names to tensors", allowed="a state dict, alone or under a name")
    networks = [(name, prefix) for name, tensors in mappings.items() for prefix in _prefixes(tensors)]
    usual = [network for network in networks if network[0].rpartition("/")[2] in STATE_DICTS]
    if len(networks) > 1 and len(usual) != 1:
        paths = listed([f"{name}/{prefix}" for name, prefix in networks])
        raise InputError(file, f"{len(networks)} networks ({paths})", allowed=f"one, or one under {STATE_DICTS}")
    name, prefix = (usual or networks or [(max(mappings, key=lambda name: len(mappings[name])), "")])[0]
    tensors = _without_training(mappings[name], prefix)
    file_size = Path(file).stat().st_size
    if odd := [key for key, value in tensors.items() if not _holds_floats(value, file_size)]:
        raise InputError(file, "not floats in full, or a bare number", key=listed(odd), allowed="tensors of floats")
    if broken := [key for key, value in tensors.items() if not torch.isfinite(value.float()).all()]:
        raise InputError(file, "NaN or infinity", key=listed(broken), allowed="finite tensors")
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
    ends = [(key.removesuffix(first), then) for key in tensors for first, then in FIRST.items() if key.endswith(first)]
    return [prefix for prefix, then in ends if any(key.startswith(prefix + then) for key in tensors)]


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
        problem = f"none of an IResNet: {listed(list(tensors))}"
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
            renamed[f"{ENDS[part]}.{name}" if part in ENDS else key] = value  # an unknown name is refused later
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


def listed(keys: list[str], shown: int = 3) -> str:
    """Return the first keys in words, and how many more there are."""
    return ", ".join(keys[:shown]) + (f" and {len(keys) - shown} more" if len(keys) > shown else "")
