"""Faces of an unconditional diffusion model: `gallery.path` is a folder in the layout of diffusers.

For example CompVis/ldm-celebahq-256 (latent diffusion, Rombach et al., CVPR 2022; HyperFace's initial faces) or a DDPM.
Its pictures are full-size; the world's detector aligns them, or they get a fixed crop.
"""

from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from stages.common import artifacts, devices, ranks
from stages.common.errors import InputError
from stages.common.params import below_data
from stages.common.shards import Drawn, Roster
from stages.common.world import World
from stages.foreign import alignment, bounded, pretrained
from stages.foreign.alignment import Aligner
from stages.settings.gallery import Denoising, Gallery


@dataclass(frozen=True)
class Unconditional:
    """Draws pictures in batches of one size, padded, so that no picture depends on the others of its batch."""

    pipeline: Any
    rows: Roster
    aligner: Aligner
    cfg: Denoising
    skipped: int = 0

    def faces(self, part: slice) -> Drawn:
        """Return the faces of a slice of rows, and the domain of each, which says whether a detector found it."""
        seeds, faces, domains = self.rows[part].seed, [], []
        for start in tqdm(range(0, len(seeds), self.cfg.batch), "batches", leave=False, disable=ranks.rank() != 0):
            pictures = self.pictures(seeds[start : start + self.cfg.batch])
            aligned, names = self.aligner.align(pictures, self.rows.domain)
            faces.append(aligned)
            domains += names
        return np.concatenate(faces), domains

    @torch.inference_mode()
    def pictures(self, seeds: np.ndarray) -> np.ndarray:
        """Return at most a batch of pictures uint8 (b, h, w, 3) RGB."""
        rows = np.minimum(np.arange(self.cfg.batch), len(seeds) - 1)  # the last fills the batch
        noise = [torch.Generator().manual_seed(int(seed)) for seed in seeds[rows]]  # on the CPU, whatever the device
        options = {"generator": noise, "num_inference_steps": self.cfg.steps, "output_type": "np"}
        images = self.pipeline(batch_size=len(rows), **options).images
        return (images[: len(seeds)] * 255).round().astype(np.uint8)


def load(cfg: Gallery, world: World) -> Unconditional:
    """Return the gallery of a folder of weights; raises InputError when a file is missing or does not fit."""
    depth = np.ones(cfg.identities, np.int64)
    rows = Roster("gallery-diffusers", cfg.seed, "diffusers", depth, world.photo_frame_px)
    return Unconditional(_pipeline(below_data(cfg.path)), rows, alignment.load(world), cfg.diffusion)


def _pipeline(folder: Path) -> Any:
    """Return the pipeline that model_index.json names, its networks loaded strictly, in float32, as is its noise.

    Its parts may be networks and schedules of diffusers and nothing else: a pipeline as a part would run code that came
    with the weights.
    """
    diffusers = pretrained.library("diffusers")
    file = folder / "model_index.json"
    if not file.is_file():
        raise InputError(file, "no such file", key="gallery.path", allowed="a pipeline as diffusers saves it")
    index = artifacts.read_json(file)
    if not isinstance(index, dict):
        raise InputError(file, f"holds a {type(index).__name__}", allowed="a mapping of parts, as diffusers saves it")
    entries = {name: entry for name, entry in index.items() if not name.startswith("_")}
    parts = {name: _part(diffusers, file, name, entry) for name, entry in entries.items()}
    class_name = index.get("_class_name")
    cls = getattr(diffusers, str(class_name), None)
    if cls is None or not {"batch_size", "generator", "num_inference_steps"} <= set(signature(cls.__call__).parameters):
        allowed = "an unconditional one such as LDMPipeline"
        raise InputError(file, key="_class_name", value=class_name, allowed=allowed)
    try:
        pipeline = cls(**parts).to(devices.device())
    except (TypeError, ValueError) as error:
        raise InputError(file, f"not the parts of a {cls.__name__}: {bounded.short(error)}") from error
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _part(diffusers: Any, file: Path, name: str, entry: Any) -> Any:
    cls = getattr(diffusers, str(entry[-1]), None) if isinstance(entry, list) and entry[:1] == ["diffusers"] else None
    if not (isinstance(cls, type) and issubclass(cls, diffusers.ModelMixin | diffusers.SchedulerMixin)):
        raise InputError(file, key=name[:80], value=entry, allowed="a network or a schedule of diffusers")
    folder = file.parent / name
    if issubclass(cls, diffusers.ModelMixin):
        return pretrained.model(cls, folder, torch.float32)
    try:
        return cls.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise InputError(folder, f"not a readable {cls.__name__}: {bounded.short(error)}") from error
