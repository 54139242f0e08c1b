"""Vec2Face (Wu et al., ICLR 2025): faces of rows at native norm, which is about 22 for the published 512-d network.

`generate.weights` is a folder with the published `vec2face_generator.pth`. Conditions are the rows themselves, pose and
quality included; AttrOP moves them.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from scipy import special
from torch import Tensor, nn

from stages.backbones.vec2face import SIDE_PX, TOKENS, Vec2Face
from stages.common import artifacts, devices, images
from stages.common.errors import InputError
from stages.common.params import below_data
from stages.common.streams import stream
from stages.common.world import World
from stages.foreign import checkpoints
from stages.settings.generate import Generate

FILE, KEY = "vec2face_generator.pth", "model_vec2face"
# Share of masked tokens: normal, cut off at both ends, as in the official script for generation, not for training.
MASK_LEAST, MASK_MOST, MASK_MEAN, MASK_SD = 0.1, 1.0, 0.15, 0.25
CHUNK = {"cpu": 4, "cuda": 64}  # drawn at once, padded, so that a face does not depend on the batch around it
MOVED = {"cpu": 4, "cuda": 16}  # the same for AttrOP, which keeps all activations


def masks(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the dropped and the masked tokens (49,) of one image; the official script's are of one ratio a batch."""
    rng = stream("mask", seed)
    low, high = special.ndtr((np.array([MASK_LEAST, MASK_MOST]) - MASK_MEAN) / MASK_SD)
    share = MASK_MEAN + MASK_SD * special.ndtri(rng.uniform(low, high))  # truncated normal
    position = rng.permutation(TOKENS)
    return position < np.ceil(TOKENS * MASK_LEAST), position < np.ceil(TOKENS * share)


class Vec2FaceGenerator:
    """Draws photographs of rows of ArcFace's 512-d sphere, as its training set WebFace4M shows people."""

    domain = "vec2face"

    def __init__(self, net: Vec2Face, world: World, source: Path) -> None:
        """Hold the network, read from `source`, on this rank's GPU where there is one.

        Its faces are aligned as for ArcFace; `world.photo_frame_px` widens them, as it does photographs.
        """
        self.device = devices.device()
        self.kind = self.device.type
        self.net = net.eval().requires_grad_(False).to(self.device, memory_format=torch.channels_last)  # pyright: ignore
        self.size_px, self.source, self.rows_at_once = world.size_px, source, MOVED[self.kind]
        self.frame_px = world.photo_frame_px
        before = -round((SIDE_PX - self.frame_px) / 2)
        self.margin = (before, self.frame_px - SIDE_PX - before)

    def condition(self, x_id: np.ndarray, norms: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        """Return rows at native norm (m, d); raises InputError when d is not the network's."""
        d = self.net.latent_prior_proj_f.in_features
        if x_id.shape[1] != d:
            allowed = f"{d}, that of {self.source}"
            raise InputError("data/pack", key="embedding size", value=x_id.shape[1], allowed=allowed)
        return (x_id * norms[:, None]).astype(np.float32)

    def perturbed(self, condition: np.ndarray, x_id: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Return rows x, turned as AttrOP turned x_id into the condition, at the condition's norm.

        Without AttrOP this is Vec2Face's rule: add noise at native norm, then restore the norm of the row.
        """
        norm = np.linalg.norm(condition, axis=1, keepdims=True)
        direction, total = condition / norm, x_id + condition / norm
        along, across = ((x * part).sum(1, keepdims=True) for part in (x_id, total))
        turned = x + 2 * along * direction - total * across / (1 + (x_id * direction).sum(1, keepdims=True))
        return (norm * turned).astype(np.float32)

    def mixed(self, condition_a: np.ndarray, condition_b: np.ndarray, ratio: np.ndarray) -> np.ndarray:
        """Return the weighted mean of two rows at the weighted mean of their norms; the mean alone is shorter."""
        share = ratio[:, None].astype(np.float32)
        norm_a, norm_b = (np.linalg.norm(c, axis=1, keepdims=True) for c in (condition_a, condition_b))
        between = share * condition_a + (1 - share) * condition_b
        return between / np.linalg.norm(between, axis=1, keepdims=True) * (share * norm_a + (1 - share) * norm_b)

    def generate(self, condition: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        """Return faces uint8 (b, size_px, size_px, 3) RGB; in float16 on an accelerator, as the network was trained."""
        parts, chunk = [], CHUNK[self.kind]
        for start in range(0, len(seeds), chunk):
            rows = np.minimum(np.arange(start, start + chunk), len(seeds) - 1)
            half = torch.autocast(self.kind, devices.published_dtype(), enabled=self.kind == "cuda")
            with torch.inference_mode(), half:
                faces = self.draw(torch.from_numpy(condition[rows]), seeds[rows])[: len(seeds) - start]
            parts.append((faces.permute(0, 2, 3, 1) * 255).byte().numpy())  # cut off, not rounded, as officially
        faces = np.concatenate(parts) if parts else np.empty((0, self.size_px, self.size_px, 3), np.uint8)
        return images.resize(faces, self.size_px)

    def movable(self, condition: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        """Return the conditions as they are: a row holds the pose, too."""
        return condition

    def draw(self, condition: Tensor, seeds: np.ndarray) -> Tensor:
        """Return faces (b, 3, photo_frame_px, photo_frame_px) in [0, 1], differentiable in the conditions (b, d)."""
        hidden = (torch.from_numpy(np.stack(part)).to(self.device) for part in zip(*map(masks, seeds), strict=True))
        faces = (self.net(condition.to(self.device), *hidden).float().cpu() + 1) / 2
        return nn.functional.pad(faces, (*self.margin, *self.margin), mode="replicate")


def network(state: Mapping[str, Tensor]) -> Vec2Face:
    """Return the network of the official layout that a state dict fits, strictly; raises RuntimeError or KeyError."""
    width, d = state["latent_prior_proj_f.weight"].shape
    depths = (_count(state, "blocks"), _count(state, "decoder_blocks"))
    levels = range(_count(state, "im_decoder.up"))
    channels = [len(state[f"im_decoder.up.{level}.block.0.conv1.weight"]) for level in levels]
    net = Vec2Face(d, width, depths, len(state["im_decoder_proj.bias"]), channels)
    net.load_state_dict(state)
    return net


def _count(state: Mapping[str, Tensor], prefix: str) -> int:
    return len({key[len(prefix) + 1 :].split(".")[0] for key in state if key.startswith(f"{prefix}.")})


def load(cfg: Generate, world: World) -> Vec2FaceGenerator:
    """Load `vec2face_generator.pth` of the folder; raises InputError when it is missing, holds code or differs."""
    file = artifacts.existing(below_data(cfg.weights) / FILE)
    state = _state(file)
    try:
        return Vec2FaceGenerator(network(state), world, file)
    except (KeyError, RuntimeError, TypeError, AttributeError) as error:
        problem = f"not Vec2Face's generator, which has 349 tensors: {artifacts.brief(error, 200)}"
        raise InputError(file, problem, key=KEY) from error


def _state(file: Path) -> Mapping[str, Tensor]:
    checkpoint = checkpoints.read(file)  # training checkpoints hold their command line, too
    state = checkpoint.get(KEY) if isinstance(checkpoint, Mapping) else None
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(file, "no tensors", key=KEY, allowed="those of the published generator")
    return state
