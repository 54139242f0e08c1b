"""Arc2Face in batches beside its published script, which draws one identity per call.

For each identity the README and the demo of github.com/foivospar/Arc2Face put the row among the embeddings of the
prompt and run the text encoder. Then they call the pipeline, which encodes the empty prompt, denoises 1 or 4 images of
the identity, decodes them at once and makes PIL images. Ours ends with the crop to 112 pixels, theirs with the picture.
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
from stages.common.world import World
from stages.generators.arc2face import Arc2Face
from stages.settings.generate import Generate
from stages.tools import standin
from stages.tools.generator_timing import Contest, seconds

BATCHES = {"cuda": (4, 16, 64), "cpu": (1, 4)}


@torch.inference_mode()
def one_by_one(generator: Arc2Face, x: np.ndarray, seeds: np.ndarray, each: int) -> list[Any]:
    """Return PIL images, `each` of every row of x (m, 512), drawn as the published script does."""
    pipeline, encoder, cfg = generator.pipeline, generator.encoder, generator.cfg
    pipeline.vae.disable_slicing()
    images = []
    for row, seed in zip(x, seeds, strict=True):
        output = pipeline(
            prompt_embeds=encoder.rows(row[None]), negative_prompt_embeds=encoder.empty(), num_images_per_prompt=each,
            num_inference_steps=cfg.steps, guidance_scale=cfg.guidance,
            generator=torch.Generator(devices.device()).manual_seed(int(seed)),
        )  # fmt: skip
        images += output.images
    return images


def in_batches(generator: Arc2Face, x: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """Return faces of rows x (b, 512) as the stage draws them."""
    generator.pipeline.vae.enable_slicing()
    return generator.generate(x, seeds)


@torch.inference_mode()
def difference(generator: Arc2Face, x: np.ndarray, seeds: np.ndarray) -> str:
    """Return the largest difference of the two pictures of a row; on a GPU their noise differs."""
    if devices.device().type == "cuda":
        return "other noise"
    theirs = np.asarray(one_by_one(generator, x[:1], seeds[:1], 1)[0])
    generator.pipeline.vae.enable_slicing()
    ours = generator.pictures(x[:1], seeds[:1])[0]
    return f"{np.abs(ours.astype(int) - theirs).max()}"


def contests(folder: Path, size: str, images: int, steps: int) -> Iterator[Contest]:
    """Yield two contests for each batch size: `images` rows once each, and a quarter of them four times each."""
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
        generator = Arc2Face(loaded.pipeline, loaded.encoder, loaded.aligner, replace(cfg.diffusion, batch=batch), 112)
        encoding = seconds(partial(torch.inference_mode()(generator.encoder.rows), x[:batch])) * images / batch
        share = encoding / seconds(partial(in_batches, generator, x, seeds))
        note = f"{steps} steps, batch {batch}; encoding rows takes {share:.1e} of ours"
        for each in (1, 4):
            rows = -(-images // each)
            theirs = partial(one_by_one, generator, x[:rows], seeds[:rows], each)
            ours = partial(in_batches, generator, np.repeat(x[:rows], each, 0), np.arange(rows * each))
            label = f"{rows * each}, {each} of an identity, batch {batch}"
            yield Contest(
                "arc2face", size, label, rows * each, ours, theirs, partial(difference, generator, x, seeds), note
            )
