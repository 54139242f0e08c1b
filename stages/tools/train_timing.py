"""The loader of `train` beside those of arcface_torch and AdaFace: images per second of one core, without a network.

The others are rebuilt from the description of their public code, without torchvision: arcface_torch finds a JPEG in a
.rec by its index and mirrors half of them; AdaFace opens JPEG files in a folder per person with Pillow, changes a share
of them and mirrors half; its crop and its low resolution are the functions of `train`. All loaders end in the same
tensors, float32 (b, 3, 112, 112) from -1 to 1, and decode the same JPEGs in random order, in this process: what counts
is its CPU time.
"""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image, ImageEnhance
from torch import Tensor

from stages.common import artifacts, images, tables
from stages.formats import rec
from stages.training import augmentation
from stages.training.batches import PLAIN, batches
from stages.training.samples import Samples, read
from stages.training.settings import Augment
from stages.world.album import portraits

SIZE_PX, BATCH, STEPS, RUNS = 112, 128, 10, 3
COUNT, DISTINCT, EACH = 1280, 128, 10  # images, different ones, of a person
SHARE = 0.2  # of AdaFace's three changes


@dataclass
class Jpegs:
    """Encoded faces, DISTINCT ones in turn, as `formats.Faces`; EACH are one person's."""

    jpegs: list[bytes]
    identity: np.ndarray
    skipped: int = 0
    size: tuple[int, int] | None = (SIZE_PX, SIZE_PX)

    def encoded(self, row: int) -> bytes:
        """Return the encoded image of a row."""
        return self.jpegs[row % len(self.jpegs)]

    def source(self, row: int) -> str:
        """Return a name of a row."""
        return f"face {row}"


def drawn(count: int = COUNT) -> Jpegs:
    """Return `count` rendered faces with the grain of a photograph, which makes them as large as one."""
    faces = portraits("timing", 0, DISTINCT, 1, "wild", 0.5).faces(slice(None), SIZE_PX)
    grain = np.random.default_rng(0).normal(0, 6, faces.shape)
    return Jpegs([images.encode(face) for face in np.clip(faces + grain, 0, 255).astype(np.uint8)],
                 np.arange(count) // EACH)  # fmt: skip


def write_shards(folder: Path, faces: Jpegs) -> Path:
    """Write the faces as FOLDER/generate with a manifest beside it; returns the manifest."""
    digests, shards, n = {}, [], np.arange(len(faces.identity))
    for start in range(0, len(n), images.ROWS_PER_SHARD):
        rows = n[start : start + images.ROWS_PER_SHARD]
        file = folder / "generate" / f"{start:09d}.arrow"
        own = [faces.encoded(row) for row in rows]
        images.write_shard(file, own, identity=faces.identity[rows], index=rows, seed=rows, domain="wild")
        digests[f"generate/{file.name}"] = artifacts.digest(file)
        shards += [file.name] * len(rows)
    columns = {"set": ["generate"] * len(n), "shard": shards, "row": n % images.ROWS_PER_SHARD, "weight": n * 0.0 + 1}
    columns |= {"label_a": faces.identity, "label_b": faces.identity, "domain": ["main"] * len(n)}
    about = {"classes": int(faces.identity.max()) + 1, "augment": False, "digests": digests}
    table = tables.of(tables.MANIFEST, columns).replace_schema_metadata({"variant": json.dumps(about)})
    tables.write(folder / "manifest.arrow", table)
    return folder / "manifest.arrow"


def write_folders(folder: Path, faces: Jpegs) -> list[Path]:
    """Write the faces as JPEG files in a folder per person; returns their paths."""
    files = [folder / f"{person:06d}" / f"{row}.jpg" for row, person in enumerate(faces.identity)]
    for row, file in enumerate(files):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(faces.encoded(row))
    return files


def ours(samples: Samples, cfg: Augment) -> Iterator[Tensor]:
    """Yield the batches of `train`."""
    for batch in batches(samples, STEPS, BATCH, 0, augment=cfg):
        yield (batch.faces.permute(0, 3, 1, 2).float() - 127.5) / 127.5


def as_arcface_torch(faces: rec.Rec) -> Iterator[Tensor]:
    """Yield batches of faces from a .rec, half of them mirrored."""
    rng = np.random.default_rng(0)

    def face(row: int) -> Image.Image:
        decoded = cv2.imdecode(np.frombuffer(faces.encoded(row), np.uint8), cv2.IMREAD_COLOR)
        assert decoded is not None
        return _mirrored(Image.fromarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)), rng)

    yield from _stacked(face, len(faces.identity), rng)


def as_adaface(files: list[Path], share: float) -> Iterator[Tensor]:
    """Yield batches of faces from files, `share` of them cropped, shrunk and enlarged, brightened; half mirrored."""
    rng = np.random.default_rng(0)

    def face(row: int) -> Image.Image:
        with Image.open(files[row]) as opened:
            picture = Image.fromarray(np.asarray(opened.convert("RGB"))[:, :, ::-1])
        for change in (augmentation.cropped, augmentation.low_resolution):
            if rng.random() < share:
                picture = Image.fromarray(change(np.array(picture), rng))
        if rng.random() < share:
            for i in rng.permutation(3):
                enhance = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)[i]
                picture = enhance(picture).enhance(rng.uniform(*augmentation.PHOTOMETRIC))
        return _mirrored(picture, rng)

    yield from _stacked(face, len(files), rng)


def _mirrored(face: Image.Image, rng: np.random.Generator) -> Image.Image:
    return face.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if rng.random() < 0.5 else face


def _stacked(face: Callable[[int], Image.Image], count: int, rng: np.random.Generator) -> Iterator[Tensor]:
    """Yield the tensors of a random order: each to 0..1, channels first, to -1..1, then together."""
    order = np.concatenate([rng.permutation(count) for _ in range(-(-STEPS * BATCH // count))])
    for rows in order[: STEPS * BATCH].reshape(STEPS, BATCH):
        parts = (torch.from_numpy(np.array(face(int(row)))).permute(2, 0, 1).contiguous() for row in rows)
        yield torch.stack([part.float().div(255).sub(0.5).div(0.5) for part in parts])


def rate(loader: Callable[[], Iterator[Tensor]]) -> float:
    """Return images per second of CPU time, of the best of RUNS runs."""
    best = 0.0
    for _ in range(RUNS):
        start = time.process_time()
        count = sum(len(batch) for batch in loader())
        best = max(best, count / (time.process_time() - start))
    return best


def loaders(folder: Path, faces: Jpegs) -> dict[str, Callable[[], Iterator[Tensor]]]:
    """Write the faces in every layout; returns what yields their batches, by the table's name for it."""
    manifest = write_shards(folder, faces)
    streamed, held = (read(manifest, folder, SIZE_PX, "rgb", share) for share in (0.0, 1.0))
    (folder / "rec").mkdir()
    rec.write(folder / "rec", faces)
    files = write_folders(folder / "folders", faces)
    flip = replace(PLAIN, jitter=0.0)
    adaface = replace(flip, crop=SHARE, low_res=SHARE, photometric=SHARE)
    everything = replace(PLAIN, crop=1.0, low_res=1.0, photometric=1.0, erase=1.0)
    return {
        "train, streamed: flip": partial(ours, streamed, flip),
        "train, streamed: flip, AdaFace's three": partial(ours, streamed, adaface),
        "train, streamed: everything, on every face": partial(ours, streamed, everything),
        "train, in memory: flip": partial(ours, held, flip),
        "arcface_torch, .rec: flip": partial(as_arcface_torch, rec.Rec(folder / "rec")),
        "AdaFace, folders: flip": partial(as_adaface, files, 0.0),
        "AdaFace, folders: flip, its three": partial(as_adaface, files, SHARE),
    }
