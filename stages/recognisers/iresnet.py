"""Checkpoints of arcface_torch, AdaFace, CVLface and HyperFace, on the one backbone `stages/backbones/iresnet.py`.

The architecture (blocks, widths, squeeze-excitation, sizes) is read from the tensors' keys and shapes.
"""

from collections.abc import Mapping
from math import isqrt
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from stages.backbones.iresnet import SHRINK, Iresnet
from stages.common import artifacts, devices
from stages.common.errors import InputError
from stages.foreign import checkpoints, published
from stages.foreign.published import Card, Published
from stages.foreign.state_dicts import arcface_layout, listed, state_dict

CHUNK, CHUNK_CUDA = 16, 128  # faces a call


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
        raise InputError(file, f"{problem}: {listed(keys)}", allowed=allowed)
