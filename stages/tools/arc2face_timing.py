"""Arc2Face in batches against its published script: one identity a call, with the text encoder inside.

What README and demo of github.com/foivospar/Arc2Face do for an identity: the row among the prompt's embeddings, the
text encoder; then a call of the pipeline that encodes the empty prompt, denoises 1 or 4 images of that identity,
decodes them at once and makes PIL images. Ours includes the crop to 112 pixels, theirs ends at the whole picture.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from stages import generators
from stages.common import devices, params, sphere
from stages.generators.arc2face import Arc2Face
from stages.settings.generate import Generate
from stages.settings.world import World
from stages.tools import standin
from stages.tools.generator_timing import Contest, seconds

BATCHES = {"cuda": (4, 16, 64), "cpu": (1, 4)}


@torch.inference_mode()
def one_by_one(generator: Arc2Face, x: np.ndarray, seeds: np.ndarray, each: int) -> list[Any]:
    """Return PIL images: `each` of every row of x (m, 512), as the published script draws them."""
    pipeline, encoder, cfg = generator.pipeline, generator.encoder, generator.cfg
    pipeline.vae.disable_slicing()
    images = []
    for row, seed in zip(x, seeds, strict=True):
        drawn = pipeline(
            prompt_embeds=encoder.rows(row[None]), negative_prompt_embeds=encoder.empty(), num_images_per_prompt=each,
            num_inference_steps=cfg.steps, guidance_scale=cfg.guidance,
            generator=torch.Generator(devices.device()).manual_seed(int(seed)),
        )  # fmt: skip
        images += drawn.images
    return images


def in_batches(generator: Arc2Face, x: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """Return faces of rows x (b, 512) as the stage draws them."""
    generator.pipeline.vae.enable_slicing()
    return generator.generate(x, seeds)


@torch.inference_mode()
def difference(generator: Arc2Face, x: np.ndarray, seeds: np.ndarray) -> str:
    """Return the largest difference of the two pictures of a row; on a GPU the published script's noise is another."""
    if devices.device().type == "cuda":
        return "other noise"
    theirs = np.asarray(one_by_one(generator, x[:1], seeds[:1], 1)[0])
    generator.pipeline.vae.enable_slicing()
    ours = generator.pictures(x[:1], seeds[:1])[0]
    return f"{np.abs(ours.astype(int) - theirs).max()}"


def contests(folder: Path, size: str, images: int, steps: int) -> Iterator[Contest]:
    """Yield, for each size of a batch, images of so many rows one each, and of a quarter of them four each."""
    standin.arc2face(folder, size)
    cfg, world = params.load("generate", Generate), params.load("world", World)
    cfg = replace(
        cfg,
        backend="arc2face",
        weights=str(folder.relative_to(params.DATA)),
        diffusion=replace(cfg.diffusion, steps=steps),
    )
    loaded = generators.load(cfg, replace(world, size_px=112, photo_frame_px=112))
    assert isinstance(loaded, Arc2Face)
    x = sphere.unit_rows(np.random.default_rng(0).standard_normal((images, 512)))
    seeds = np.arange(images)
    for batch in BATCHES[devices.device().type]:
        made = Arc2Face(loaded.pipeline, loaded.encoder, loaded.aligner, replace(cfg.diffusion, batch=batch), 112)
        encoding = seconds(partial(torch.inference_mode()(made.encoder.rows), x[:batch])) * images / batch
        share = encoding / seconds(partial(in_batches, made, x, seeds))
        note = f"{steps} steps, batch {batch}; encoding rows takes {share:.1e} of ours"
        for each in (1, 4):
            few = -(-images // each)
            theirs = partial(one_by_one, made, x[:few], seeds[:few], each)
            ours = partial(in_batches, made, np.repeat(x[:few], each, 0), np.arange(few * each))
            what = f"{few * each}, {each} of an identity, batch {batch}"
            yield Contest("arc2face", size, what, few * each, ours, theirs, partial(difference, made, x, seeds), note)
