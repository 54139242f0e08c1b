"""What turns faces into embeddings: the contract, and the networks of our own."""

from collections.abc import Mapping
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from stages.common import artifacts, devices, images
from stages.common.frames import Frame

CHUNK = 128  # every forward pass has this many faces, padded, so that a row does not depend on the batch around it
LUMA = torch.tensor([0.299, 0.587, 0.114])  # ITU-R BT.601


class Recogniser(Protocol):
    """A face recogniser that knows its own input size, frame, colour order and normalisation."""

    embedding_size: int

    def embed(self, faces: np.ndarray, frame_px: float | None = None) -> np.ndarray:
        """Return un-normalised embeddings (b, d) float32 of faces uint8 (b, h, w, 3) RGB of any size.

        frame_px: what the faces show of ArcFace's template of 112 px, `Shards.frame_px`; the network cuts its own frame
        out of that. None: they show what it wants.
        Row i depends on face i alone, not on the batch around it.
        """
        ...


def standardised(faces: Tensor | np.ndarray, colour: str = "rgb") -> Tensor:
    """Return faces (b, h, w, 3) RGB, uint8 or float in [0, 255], as (b, c, h, w) of mean 0 and variance 1 per image.

    colour: "rgb" keeps three channels, "grey" makes one; faces (b, h, w, 1) are grey by now. Differentiable.
    Standardising each image removes exposure and contrast, which differ more between renders and photographs than faces
    do.
    """
    x = torch.as_tensor(faces).permute(0, 3, 1, 2).float()
    if colour == "grey" and x.shape[1] == 3:
        x = torch.einsum("bchw,c->bhw", x, LUMA.to(x.device))[:, None]
    mean = x.mean((1, 2, 3), keepdim=True)
    sd = (x - mean).square().mean((1, 2, 3), keepdim=True).add(1.0).sqrt()  # 1 grey level: a blank face stays finite
    return (x - mean) / sd


class Embedded:
    """A recogniser of our own, on this rank's device; a `Recogniser`, and differentiable through `features`."""

    def __init__(self, net: nn.Module, card: Mapping[str, Any]) -> None:
        """Hold a network and the card that describes it."""
        self.device = devices.device()
        self.net = net.eval().to(self.device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        self.size_px: int = card["size_px"]
        self.colour: str = card["colour"]
        self.embedding_size: int = card["embedding_size"]
        self.frame = Frame(self.size_px, self.size_px, card.get("frame_px", images.FRAME_PX))

    def features(self, x: Tensor, frame_px: float | None = None) -> Tensor:
        """Return un-normalised embeddings (b, d) of faces (b, h, w, 3) float in [0, 255], with gradients."""
        seen = self.frame.of_tensor(x.permute(0, 3, 1, 2), frame_px).permute(0, 2, 3, 1)
        return self.net(standardised(seen.to(self.device), self.colour)).to(x.device)

    def embed(self, faces: np.ndarray, frame_px: float | None = None) -> np.ndarray:
        """Return un-normalised embeddings (b, d) float32 of faces uint8 (b, h, w, 3) RGB of any size."""
        parts = (faces[start : start + CHUNK] for start in range(0, len(faces), CHUNK))
        rows = [self._chunk(self.frame.of(part, frame_px)) for part in parts]
        return np.concatenate(rows) if rows else np.empty((0, self.embedding_size), np.float32)

    @torch.inference_mode()
    def _chunk(self, faces: np.ndarray) -> np.ndarray:
        if self.colour == "grey":  # in float it would be a third of the time
            faces = images.grey(faces)
        padded = np.zeros((CHUNK, *faces.shape[1:]), np.uint8)
        padded[: len(faces)] = faces
        x = standardised(torch.from_numpy(padded).to(self.device), self.colour)
        with torch.autocast(self.device.type, torch.bfloat16):
            return self.net(x.contiguous(memory_format=torch.channels_last)).float().cpu().numpy()[: len(faces)]


def build(card: Mapping[str, Any]) -> nn.Module:
    """Return the untrained network that a card describes."""
    module = import_module(f"stages.backbones.{card['architecture']}")
    net = getattr(module, card["architecture"].capitalize())
    chosen = {key: card[key] for key in signature(net).parameters if key in card}
    return net(**chosen, colours=images.CHANNELS[card["colour"]])


def save(network: str | Path, net: nn.Module, card: Mapping[str, Any]) -> None:
    """Write the folder of a network with its card: architecture, widths, embedding_size, size_px, colour and more."""
    tensors = {k: v for k, v in net.state_dict().items() if not k.endswith("num_batches_tracked")}
    artifacts.write_weights(network, tensors, {**card, "standardise": "per image, over all colours"})


def load(network: str | Path) -> Embedded:
    """Return the recogniser in a folder; raises ValueError when its weights and its card do not fit each other."""
    tensors, card = artifacts.read_weights(network)
    try:
        net = build(card)
        missing, unexpected = net.load_state_dict(tensors, strict=False)
    except (KeyError, ModuleNotFoundError, RuntimeError, TypeError) as error:
        raise ValueError(f"{network}: weights and card do not fit: {' '.join(str(error).split())[:200]}") from error
    missing = [key for key in missing if not key.endswith("num_batches_tracked")]
    if missing or unexpected:
        raise ValueError(f"{network}: missing tensors {missing}, unexpected {unexpected}")
    return Embedded(net, card)
