"""Vec2Face in padded batches beside the calls of its published script: one row per call, or batches of any size.

image_generation.py of github.com/HaiyuWu/Vec2Face passes rows through the network in float32 and cuts the output to
bytes. Here the network is ours both times, so only the calls differ: batches, padding, the layout of the weights in
memory and, on a GPU, float16. The official network was as fast as ours when both were called its way.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from stages import generators
from stages.common import devices, params, sphere
from stages.common.world import World
from stages.generators.vec2face import CHUNK, Vec2FaceGenerator
from stages.settings.generate import Generate
from stages.tools import standin
from stages.tools.generator_timing import Contest

NORM = 22.0  # of the published network's rows


@torch.inference_mode()
def as_published(generator: Vec2FaceGenerator, condition: np.ndarray, seeds: np.ndarray, batch: int) -> np.ndarray:
    """Return faces uint8 (b, 112, 112, 3) of conditions (b, 512), `batch` a call, as the published script does."""
    parts = []
    for start in range(0, len(seeds), batch):
        part = slice(start, start + batch)
        faces = generator.draw(torch.from_numpy(condition[part]), seeds[part])
        parts.append((faces.permute(0, 2, 3, 1).numpy() * 255).clip(0, 255).astype(np.uint8))
    return np.concatenate(parts)


def difference(
    ours: Vec2FaceGenerator, theirs: Vec2FaceGenerator, condition: np.ndarray, seeds: np.ndarray, batch: int
) -> str:
    """Return the largest difference of the two pictures of any of the first four rows."""
    pair = (ours.generate(condition[:4], seeds[:4]), as_published(theirs, condition[:4], seeds[:4], batch))
    return f"{np.abs(np.subtract(*pair, dtype=int)).max()}"


def contests(folder: Path, size: str, images: int, steps: int) -> Iterator[Contest]:
    """Yield two contests: theirs draws one row per call, or as many as ours. Vec2Face has no steps."""
    standin.vec2face(folder, size)
    cfg = replace(params.load("generate", Generate), backend="vec2face", weights=str(folder.relative_to(params.DATA)))
    world = replace(params.load("world", World), size_px=112, photo_frame_px=112)
    ours, theirs = generators.load(cfg, world), generators.load(cfg, world)
    assert isinstance(ours, Vec2FaceGenerator) and isinstance(theirs, Vec2FaceGenerator)
    theirs.net.to(memory_format=torch.contiguous_format)  # pyright: ignore[reportCallIssue]
    x = sphere.unit_rows(np.random.default_rng(0).standard_normal((images, 512)))
    seeds, chunk = np.arange(images), CHUNK[devices.device().type]
    condition = ours.condition(x, np.full(images, NORM, np.float32), seeds)
    for batch in (1, chunk):
        yield Contest(
            "vec2face", size, f"{images}, {batch} a call of theirs", images,
            partial(ours.generate, condition, seeds), partial(as_published, theirs, condition, seeds, batch),
            partial(difference, ours, theirs, condition, seeds, batch), f"ours in batches of {chunk}",
        )  # fmt: skip
