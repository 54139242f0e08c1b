"""Arc2Face (Paraperas Papantoniou et al., ECCV 2024): Stable Diffusion 1.5 conditioned on ArcFace's unit rows.

`generate.weights` is a folder as published: `arc2face/` (UNet) and `encoder/` (CLIP text model) of FoivosPar/Arc2Face,
`vae/`, `tokenizer/` and `scheduler/` of Stable Diffusion 1.5, and `lcm-lora-sdv1-5/` for `generate.diffusion.lcm`.

A row stands in the prompt "photo of a id person" in place of the token `id`. Conditions are the rows (m, 512): 2 kB an
identity, where prompt embeddings (77, 768) have 237 kB, 71 GB for 300,000 identities, and would not serve perturbed
images, whose rows are their own. Encoding a row is 0.03 % of the operations of drawing it in 25 steps (13 of 42,700
GFLOP at the published size), 0.2 % in 4 by LCM.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from stages.common import devices, ranks, sphere
from stages.common.params import below_data
from stages.foreign import alignment, pretrained
from stages.foreign.alignment import Aligner
from stages.settings.generate import Diffusion, Generate
from stages.settings.world import World

ROW = 512  # size of the embeddings of Arc2Face's own ArcFace network
PROMPT, PLACE = "photo of a id person", "id"
UNET = "diffusion_pytorch_model.safetensors"
FILES = (
    f"arc2face/{UNET}", f"vae/{UNET}", "tokenizer/vocab.json", "tokenizer/merges.txt", "scheduler/scheduler_config.json"
)  # fmt: skip
LORA = "lcm-lora-sdv1-5/pytorch_lora_weights.safetensors"


class Encoder:
    """Arc2Face's text encoder: what the UNet is shown of rows."""

    def __init__(self, text_model: Any, tokenizer: Any) -> None:
        """Tokenise the prompt once; raises ValueError when `id` is not one token of it."""
        self.text_model = text_model
        self.tokens, self.nothing = (self._tokens(tokenizer, text) for text in (PROMPT, ""))
        place = (self.tokens == tokenizer.convert_tokens_to_ids(f"{PLACE}</w>")).nonzero()
        if len(place) != 1:
            raise ValueError(
                f"tokenizer/: {len(place)} tokens {PLACE!r} in {PROMPT!r}; allowed: 1, as in CLIP's vocabulary"
            )
        self.place = int(place)

    @staticmethod
    def _tokens(tokenizer: Any, text: str) -> Tensor:
        found = tokenizer(text, truncation=True, padding="max_length", max_length=tokenizer.model_max_length)
        return torch.tensor(found["input_ids"], device=devices.device())

    def rows(self, x: np.ndarray) -> Tensor:
        """Return prompt embeddings (b, 77, h) of unit rows (b, 512)."""
        embedding = self.text_model.get_input_embeddings()
        padded = torch.zeros(len(x), embedding.embedding_dim)
        padded[:, :ROW] = torch.from_numpy(x)

        def put(_module: Any, _given: Any, out: Tensor) -> Tensor:
            out = out.clone()
            out[:, self.place] = padded.to(out)
            return out

        hook = embedding.register_forward_hook(put)
        try:
            return self.text_model(self.tokens.expand(len(x), -1))[0]
        finally:
            hook.remove()

    def empty(self) -> Tensor:
        """Return the embedding (1, 77, h) of the empty prompt, from which guidance leads away."""
        return self.text_model(self.nothing[None])[0]


class Arc2Face:
    """Draws rows in batches of one size, padded, so that an image does not depend on the others of its batch."""

    domain = "arc2face"

    def __init__(self, pipeline: Any, encoder: Encoder, aligner: Aligner, cfg: Diffusion, frame_px: int) -> None:
        """Hold diffusers' pipeline without its text encoder, and encode the empty prompt once."""
        self.pipeline, self.encoder, self.aligner, self.cfg = pipeline, encoder, aligner, cfg
        self.frame_px = frame_px
        with torch.inference_mode():
            self.negative = encoder.empty()

    def condition(self, x_id: np.ndarray, norms: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        """Return the unit rows (m, 512) themselves; raises ValueError when they are of another network's size."""
        if x_id.shape[1] != ROW:
            raise ValueError(
                f"generate.backend = 'arc2face' with rows of size {x_id.shape[1]}; "
                f"allowed: {ROW}, embeddings by Arc2Face's arcface.onnx (embed.weights)"
            )
        return x_id.astype(np.float32)

    def perturbed(self, condition: np.ndarray, x_id: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Return the perturbed rows (b, 512)."""
        return x.astype(np.float32)

    def mixed(self, condition_a: np.ndarray, condition_b: np.ndarray, ratio: np.ndarray) -> np.ndarray:
        """Return rows (b, 512) between two, unit again: SynFace mixes coefficients, Arc2Face has only rows."""
        return sphere.unit_rows(ratio[:, None] * condition_a + (1 - ratio[:, None]) * condition_b)

    def generate(self, condition: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        """Return faces uint8 (b, size_px, size_px, 3) RGB, aligned."""
        return self.drawn(condition, seeds)[0]

    def drawn(self, condition: np.ndarray, seeds: np.ndarray) -> tuple[np.ndarray, list[str]]:
        """Return what `generate` does, and the domain of each, which says whether a detector found its face."""
        faces, domains = [], []
        starts = range(0, len(seeds), self.cfg.batch)
        for start in tqdm(starts, "batches", leave=False, disable=ranks.rank() != 0 or len(starts) == 1, ncols=80):
            part = slice(start, start + self.cfg.batch)
            found = self.aligner.align(self.pictures(condition[part], seeds[part]), self.domain)
            faces.append(found[0])
            domains += found[1]
        return np.concatenate(faces), domains

    @torch.inference_mode()
    def pictures(self, condition: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        """Return at most a batch of pictures uint8 (b, 512, 512, 3) RGB, not yet aligned."""
        rows = np.minimum(np.arange(self.cfg.batch), len(seeds) - 1)  # the last fills the batch
        noise = [torch.Generator().manual_seed(int(seed)) for seed in seeds[rows]]  # on the CPU, whatever the device
        prompt = self.encoder.rows(condition[rows])  # in full precision: all of an identity is in it
        with devices.mixed_precision():
            images = self.pipeline(
                prompt_embeds=prompt,
                negative_prompt_embeds=self.negative.expand(len(rows), -1, -1),
                num_inference_steps=self.cfg.steps,
                guidance_scale=self.cfg.guidance,
                generator=noise,
                output_type="np",
            ).images
        return (images[: len(seeds)] * 255).round().astype(np.uint8)


def load(cfg: Generate, world: World) -> Arc2Face:
    """Return the generator of a folder of weights; raises ValueError when a file is missing or does not fit."""
    folder, diffusers, transformers = below_data(cfg.weights), *map(pretrained.library, ("diffusers", "transformers"))
    for file in (*FILES, *([LORA] if cfg.diffusion.lcm else [])):
        if not (folder / file).is_file():
            raise ValueError(f"{folder / file}: no such file; generate.weights = {cfg.weights!r} lacks it")
    try:
        tokenizer = transformers.CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
        schedule = diffusers.DPMSolverMultistepScheduler.from_pretrained(folder / "scheduler", local_files_only=True)
    except Exception as error:  # the tokenizer's parser is not Python, and raises plain Exceptions
        raise ValueError(f"{folder}: tokenizer or scheduler not readable: {' '.join(str(error).split())}") from error
    dtype = devices.published_dtype()
    text_model = pretrained.model(
        transformers.CLIPTextModel, folder / "encoder", dtype
    )  # a subclass gets random weights
    unet = pretrained.model(diffusers.UNet2DConditionModel, folder / "arc2face", dtype)
    vae = pretrained.model(diffusers.AutoencoderKL, folder / "vae", dtype)
    size = text_model.config.hidden_size
    if size < ROW or size != unet.config.cross_attention_dim:
        raise ValueError(
            f"{folder}/encoder: hidden_size = {size}; allowed: {unet.config.cross_attention_dim}, "
            f"cross_attention_dim of arc2face/, and at least {ROW}"
        )
    vae.enable_slicing()  # pictures are decoded one by one: a batch of them would need most of the memory
    pipeline = diffusers.StableDiffusionPipeline(
        vae=vae, text_encoder=None, tokenizer=None, unet=unet, scheduler=schedule, safety_checker=None,
        feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    pipeline.set_progress_bar_config(disable=True)
    if cfg.diffusion.lcm:
        _accelerate(pipeline, folder / LORA, diffusers.LCMScheduler)
    encoder = Encoder(text_model, tokenizer)
    return Arc2Face(pipeline, encoder, alignment.load(world), cfg.diffusion, world.photo_frame_px)


def _accelerate(pipeline: Any, file: Path, scheduler: Any) -> None:
    """Fuse LCM-LoRA into the UNet (Luo et al., arXiv 2311.05556); raises ValueError when a tensor finds no place."""
    from safetensors import safe_open

    pretrained.library("peft")
    try:
        with safe_open(file, "pt") as stored:
            given = sum(not key.endswith("alpha") for key in stored.keys())  # noqa: SIM118 (not a dict)
        pipeline.load_lora_weights(file.parent, weight_name=file.name, local_files_only=True)
    except Exception as error:  # diffusers raises what it happens to stumble on
        raise ValueError(f"{file}: not a readable LoRA: {' '.join(str(error).split())[:200]}") from error
    taken = sum("lora_" in name for name, _ in pipeline.unet.named_parameters())
    if taken != given or not taken:
        raise ValueError(f"{file}: {taken} of its {given} tensors belong to this UNet; allowed: all")
    pipeline.fuse_lora()
    pipeline.unload_lora_weights()
    pipeline.scheduler = scheduler.from_config(pipeline.scheduler.config)
