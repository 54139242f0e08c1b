"""Arc2Face (Paraperas Papantoniou et al., ECCV 2024): Stable Diffusion 1.5 conditioned on ArcFace's unit rows.

`generate.weights` is a folder as published: `arc2face/` (UNet) and `encoder/` (CLIP text model) of FoivosPar/Arc2Face,
`vae/`, `tokenizer/` and `scheduler/` of Stable Diffusion 1.5, and `lcm-lora-sdv1-5/` for `generate.diffusion.lcm`.

A row replaces the token `id` in the prompt "photo of a id person". Conditions are the rows (m, 512), 2 kB an identity.
Prompt embeddings (77, 768) would take 237 kB, 71 GB for 300,000 identities, and could not be used for perturbed images,
which have rows of their own. Encoding a row is 0.03 % of the operations of drawing it in 25 steps (13 of 42,700 GFLOP
at the published size), and 0.2 % in 4 steps by LCM.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from stages.common import artifacts, devices, ranks, sphere
from stages.common.errors import InputError
from stages.common.params import below_data
from stages.common.world import World
from stages.foreign import alignment, pretrained
from stages.foreign.alignment import Aligner
from stages.settings.generate import Diffusion, Generate

ROW = 512  # size of the embeddings of Arc2Face's own ArcFace network
PROMPT, PLACE = "photo of a id person", "id"
UNET = "diffusion_pytorch_model.safetensors"
FILES = (
    f"arc2face/{UNET}", f"vae/{UNET}", "tokenizer/vocab.json", "tokenizer/merges.txt", "scheduler/scheduler_config.json"
)  # fmt: skip
LORA = "lcm-lora-sdv1-5/pytorch_lora_weights.safetensors"


class Encoder:
    """Arc2Face's text encoder: from rows to what the UNet sees of them."""

    def __init__(self, text_model: Any, tokenizer: Any) -> None:
        """Tokenise the prompt once; raises InputError when `id` is not one token of it."""
        self.text_model = text_model
        self.tokens, self.nothing = (self._tokens(tokenizer, text) for text in (PROMPT, ""))
        place = (self.tokens == tokenizer.convert_tokens_to_ids(f"{PLACE}</w>")).nonzero()
        if len(place) != 1:
            problem = f"{len(place)} tokens {PLACE!r} in {PROMPT!r}"
            raise InputError("tokenizer/", problem, allowed="1, as in CLIP's vocabulary")
        self.place = int(place)

    @staticmethod
    def _tokens(tokenizer: Any, text: str) -> Tensor:
        tokenised = tokenizer(text, truncation=True, padding="max_length", max_length=tokenizer.model_max_length)
        return torch.tensor(tokenised["input_ids"], device=devices.device())

    def rows(self, x: np.ndarray) -> Tensor:
        """Return prompt embeddings (b, 77, h) of unit rows (b, 512)."""
        embedding = self.text_model.get_input_embeddings()
        padded = torch.zeros(len(x), embedding.embedding_dim)
        padded[:, :ROW] = torch.from_numpy(x)

        def put(_module: Any, _inputs: Any, embedded: Tensor) -> Tensor:
            embedded = embedded.clone()
            embedded[:, self.place] = padded.to(embedded)
            return embedded

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
        """Return the unit rows (m, 512) themselves; raises InputError when they have another network's size."""
        if x_id.shape[1] != ROW:
            allowed = f"{ROW}, as Arc2Face's arcface.onnx gives them, with generate.backend = 'arc2face'"
            raise InputError("data/pack", key="embedding size", value=x_id.shape[1], allowed=allowed)
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
        """Return the faces of `generate` and the domain of each, which says whether a detector found the face."""
        faces, domains = [], []
        starts = range(0, len(seeds), self.cfg.batch)
        for start in tqdm(starts, "batches", leave=False, disable=ranks.rank() != 0 or len(starts) == 1, ncols=80):
            part = slice(start, start + self.cfg.batch)
            aligned = self.aligner.align(self.pictures(condition[part], seeds[part]), self.domain)
            faces.append(aligned[0])
            domains += aligned[1]
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
    """Return the generator of a folder of weights; raises InputError when a file is missing or does not fit."""
    folder, diffusers, transformers = below_data(cfg.weights), *map(pretrained.library, ("diffusers", "transformers"))
    for file in (*FILES, *([LORA] if cfg.diffusion.lcm else [])):
        if not (folder / file).is_file():
            raise InputError(folder / file, "no such file", allowed="all files that generate.weights needs")
    try:
        tokenizer = transformers.CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
        schedule = diffusers.DPMSolverMultistepScheduler.from_pretrained(folder / "scheduler", local_files_only=True)
    except Exception as error:  # the tokenizer's parser is not Python, and raises plain Exceptions
        raise InputError(
            folder, f"not readable: {artifacts.brief(error, 200)}", key="tokenizer or scheduler"
        ) from error
    dtype = devices.published_dtype()
    text_model = pretrained.model(
        transformers.CLIPTextModel, folder / "encoder", dtype
    )  # a subclass gets random weights
    unet = pretrained.model(diffusers.UNet2DConditionModel, folder / "arc2face", dtype)
    vae = pretrained.model(diffusers.AutoencoderKL, folder / "vae", dtype)
    size = text_model.config.hidden_size
    if size < ROW or size != unet.config.cross_attention_dim:
        allowed = f"{unet.config.cross_attention_dim}, cross_attention_dim of arc2face/, and at least {ROW}"
        raise InputError(folder / "encoder", key="hidden_size", value=size, allowed=allowed)
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
    """Fuse LCM-LoRA into the UNet (Luo et al., arXiv 2311.05556); raises InputError when a tensor finds no place."""
    from safetensors import safe_open

    pretrained.library("peft")
    try:
        with safe_open(file, "pt") as stored:
            tensors = sum(not key.endswith("alpha") for key in stored.keys())  # noqa: SIM118 (not a dict)
        pipeline.load_lora_weights(file.parent, weight_name=file.name, local_files_only=True)
    except Exception as error:  # diffusers raises what it happens to stumble on
        raise InputError(file, f"not a readable LoRA: {artifacts.brief(error, 200)}") from error
    used = sum("lora_" in name for name, _ in pipeline.unet.named_parameters())
    if used != tensors or not used:
        raise InputError(file, f"{used} of its {tensors} tensors belong to this UNet", allowed="all")
    pipeline.fuse_lora()
    pipeline.unload_lora_weights()
    pipeline.scheduler = scheduler.from_config(pipeline.scheduler.config)
