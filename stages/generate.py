"""Draw images of the packed identities.

reads   data/pack/    x_id (m, d) unit rows with native norms, and x_normal, for the control;
        data/embed/  x_ref (n, d), likewise; the backend's weights; params generate, world;
        for AttrOP the networks of params embed and generate.attributes, and data/pretrain/pose
writes  data/generate/plain-*.arrow             k images of each identity, perturbed
        data/generate/mixup-*.arrow             identity mixup: both labels and the ratio are columns;
                                                mixup-WIDTH-* for each width after the first
        data/generate/control-packed-*.arrow    unperturbed images of packed rows
        data/generate/control-gallery-*.arrow   the same of gallery rows, the easiest rows there are
        data/generate/control-gaussian-*.arrow  the same of rows from a Gaussian fitted to the gallery
        data/generate/images.feather            for each plain image the cosine of its perturbed row to its identity's
                                                row, for each mixed image the width that it is mixed among
        data/generate/rows.npy                  (identities,) each identity's row of data/pack
        data/generate/poses-*.arrow             the first identities at designated poses, one image each
        data/generate/attributes.feather        what AttrOP reached for every row that it moved, also where it failed
"""

from pathlib import Path

import numpy as np
import pyarrow as pa

from stages import generators
from stages.attributes import attrop, record
from stages.common import artifacts, params, ranks, shards, sphere, stage, tables
from stages.common.errors import InputError
from stages.common.params import Network
from stages.common.shards import Drawn, Provenance
from stages.common.streams import stream
from stages.common.world import World
from stages.foreign import alignment
from stages.generators import Generator
from stages.settings.generate import Generate, Noise

Rows = tuple[np.ndarray, np.ndarray]  # unit rows (m, d) and their native norms (m,)
CHUNK = 20  # identities conditioned together, padded; a rank takes one chunk at a time
RATIOS = np.arange(21) / 20  # SynFace's grid of mixup ratios


def sigmas(depth: int, noise: Noise) -> np.ndarray:
    """Return the sigma of each of an identity's images (depth,), so that the first k images have the shares for any k.

    Vec2Face shuffles over the whole set, so that a single identity may miss the shares; here each identity has them.
    """
    share = np.array(noise.share)
    counts, places = np.zeros(len(share)), []
    for image in range(depth):
        places.append(int(np.argmax(share * (image + 1) - counts)))
        counts[places[-1]] += 1
    return np.array(noise.sigma)[places]


def perturb(x: np.ndarray, seeds: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Return unit rows x (b, d) with Gaussian noise of standard deviation `scale` (b,) a coordinate, unit again."""
    noise = np.stack([stream("perturb", seed).standard_normal(x.shape[1]) for seed in seeds])
    return sphere.unit_rows(x + scale[:, None] * noise)


def noise_scale(cfg: Generate, index: np.ndarray, d: int) -> np.ndarray:
    """Return the noise per coordinate of a unit row (b,), from the index of the image within its identity.

    HyperFace adds beta to the unit row. Vec2Face's sigma counts in standard deviations of a coordinate at native norm
    r, which are r / sqrt(d), so on the unit row it is sigma / sqrt(d) and the expected cosine 1 / sqrt(1 + sigma^2).
    """
    match cfg.perturbation:
        case "none":
            return np.zeros(len(index))
        case "beta":
            return np.full(len(index), cfg.noise.beta)
        case "sigma":
            return sigmas(int(index.max()) + 1, cfg.noise)[index] / np.sqrt(d)


def partners(identities: int, images: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return SynFace's partner and ratio of each mixed image, (identities, images) each.

    Partners of an identity are drawn from the others, without replacement while there are enough. Ratios are drawn
    uniformly from 0, 0.05, ..., 1, so a few images show the partner alone, as in the paper's code.
    """
    partner, ratio = np.empty((identities, images), np.int64), np.empty((identities, images), np.float32)
    for i in range(identities):
        rng = stream("mixup partners", seed, i)
        others = rng.choice(identities - 1, images, replace=images > identities - 1)
        partner[i] = others + (others >= i)
        ratio[i] = rng.choice(RATIOS, images)
    return partner, ratio


def conditions(generator: Generator, name: str, rows: Rows, seed: int, folder: Path) -> np.ndarray:
    """Return the conditions (m, c) of rows, computed in chunks by all ranks; finished chunks are kept."""
    x, norms = rows
    seeds = shards.image_seeds(f"condition-{name}", seed, np.arange(len(x)), np.zeros(len(x), np.int64))
    starts = range(0, len(x), CHUNK)
    files = {folder / f".{name}-{start:07d}.npy": start for start in starts}
    todo = [file for file in files if not file.exists()]

    def work(file: Path) -> None:
        part = np.minimum(np.arange(files[file], files[file] + CHUNK), len(x) - 1)  # the last row fills the last chunk
        artifacts.write_array(file, generator.condition(x[part], norms[part], seeds[part])[: len(x) - files[file]])

    ranks.barrier()  # all ranks have looked before one writes
    ranks.share(todo, work, f"refine {name} rows")
    return np.concatenate([artifacts.read_array(file) for file in files])


def listed(prefix: str, rows: Provenance, width: int | None = None, cosine: np.ndarray | None = None) -> pa.Table:
    """Return the rows of images.feather for PREFIX-*.arrow, with cosines (images,) or the width of the mixup."""
    count = len(rows.identity)
    columns = {"prefix": [prefix] * count, "identity": rows.identity, "index": rows.index, "width": [width] * count}
    return tables.of(tables.DRAWN, columns | {"cosine": [None] * count if cosine is None else cosine})


def plain(generator: Generator, x_id: np.ndarray, condition: np.ndarray, cfg: Generate, folder: Path) -> pa.Table:
    """Draw every identity's images; returns their rows of images.feather."""
    depth = [cfg.images_of(i) for i in range(len(x_id))]
    identity = np.repeat(np.arange(len(x_id)), depth)
    index = np.concatenate([np.arange(k) for k in depth])
    seeds = shards.image_seeds("generate", cfg.seed, identity, index)
    x = perturb(x_id[identity], seeds, noise_scale(cfg, index, x_id.shape[1]))
    rows = Provenance(generator.domain, identity, index, seeds, frame_px=generator.frame_px)

    def faces(part: slice) -> Drawn:
        perturbed = generator.perturbed(condition[identity[part]], x_id[identity[part]], x[part])
        return generators.faces(generator, perturbed, seeds[part])

    shards.draw("plain", rows, faces, folder)
    return listed("plain", rows, cosine=np.einsum("bd,bd->b", x, x_id[identity]).astype(np.float32))


def mixup(
    generator: Generator, x_id: np.ndarray, condition: np.ndarray, cfg: Generate, folder: Path, width: int
) -> pa.Table:
    """Draw SynFace's identity mixup: conditions of two identities, each perturbed as a plain image would be.

    Both are among the first `width` identities. Returns their rows of images.feather.
    """
    m, k = min(width, len(x_id)), cfg.mixup.images
    identity, index = (grid.ravel() for grid in np.mgrid[:m, :k])
    partner, ratio = (grid.ravel() for grid in partners(m, k, cfg.seed))
    seeds = shards.image_seeds("mixup", cfg.seed, identity, index)
    scale = noise_scale(cfg, index, x_id.shape[1])
    rows = Provenance(generator.domain, identity, index, seeds, partner, ratio, generator.frame_px)

    def parent(person: np.ndarray, part: slice) -> np.ndarray:
        x = x_id[person[part]]
        return generator.perturbed(condition[person[part]], x, perturb(x, seeds[part], scale[part]))

    def faces(part: slice) -> Drawn:
        mixed = generator.mixed(parent(identity, part), parent(partner, part), ratio[part])
        return generators.faces(generator, mixed, seeds[part])

    prefix = "mixup" if width == cfg.mixup.widths()[0] else f"mixup-{width}"
    shards.draw(prefix, rows, faces, folder)
    return listed(prefix, rows, width)


def control(generator: Generator, name: str, condition: np.ndarray, cfg: Generate, folder: Path) -> None:
    """Draw unperturbed images of the first identities."""
    identities = min(cfg.control.identities, len(condition))
    identity, index = (grid.ravel() for grid in np.mgrid[:identities, : cfg.control.images])
    seeds = shards.image_seeds(f"control-{name}", cfg.seed, identity, index)
    rows = Provenance(generator.domain, identity, index, seeds, frame_px=generator.frame_px)

    def faces(part: slice) -> Drawn:
        return generators.faces(generator, condition[identity[part]], seeds[part])

    shards.draw(f"control-{name}", rows, faces, folder)


def accepted(moved: pa.Table) -> np.ndarray:
    """Return the rows of data/pack that AttrOP accepted; raises ValueError when they are fewer than two."""
    rows = np.flatnonzero(moved["accepted"].to_numpy())
    if len(rows) < 2:
        cosine, norm = (np.max(moved[name].to_numpy()) for name in ("cosine", "norm"))
        raise InputError(
            params.FILE,
            f"{len(rows)} of {len(moved)} identities reached min_cosine and min_norm, "
            f"best cosine {cosine:.2f}, best norm {norm:.2f}",
            key="generate.attributes",
            allowed="at least 2",
        )
    return rows


def main() -> str:
    """Run the stage."""
    cfg, world, embed = params.load("generate", Generate), params.load("world", World), params.load("embed", Network)
    x_id, norms = artifacts.read_rows("data/pack", "x_id")
    needed = max(cfg.identities(), *cfg.mixup.widths(), cfg.control.identities)
    if not cfg.attributes.centres:  # else the further rows replace those that AttrOP does not accept
        x_id, norms = x_id[:needed], norms[:needed]
    d, controlled = x_id.shape[1], cfg.control.identities
    controls = {
        "gallery": artifacts.read_rows("data/embed", "x_ref", d),
        "gaussian": artifacts.read_rows("data/pack", "x_normal", d),
    }
    generator = generators.load(cfg, world)
    with ranks.kept("generate") as folder:
        mover = attrop.load(generator, cfg, embed, folder) if cfg.needs_gradients() else None
        packed = conditions(generator, "packed", (x_id, norms), cfg.seed, folder)
        rows, moved = np.arange(len(x_id)), []
        if mover and cfg.attributes.centres:
            packed, table = mover.centres(x_id, packed)
            rows, moved = accepted(table)[:needed], [table]
            x_id, packed = x_id[rows], packed[rows]
        images = [plain(generator, x_id, packed, cfg, folder)]
        images += [mixup(generator, x_id, packed, cfg, folder, width) for width in cfg.mixup.widths()]
        control(generator, "packed", packed, cfg, folder)
        for name, (x, native) in controls.items():
            condition = conditions(generator, name, (x[:controlled], native[:controlled]), cfg.seed, folder)
            control(generator, name, condition, cfg, folder)
        if mover and cfg.poses.identities:
            moved += [mover.poses(x_id, packed, rows)]
        if ranks.rank() == 0:
            tables.write(folder / "images.feather", pa.concat_tables(images))
            artifacts.write_array(folder / "rows.npy", rows)
            record.write(folder, moved)
        ranks.publish(folder, "data/generate")
    cosine = images[0]["cosine"].to_numpy()
    mean = f"cosine of a perturbed row to its identity {cosine.mean():.3f}"
    note, people = alignment.fixed_crops("data/generate"), min(cfg.identities(), len(rows))
    return f"generate: {len(cosine)} images of {people} identities, {mean}{note} -> data/generate"


if __name__ == "__main__":
    stage.run(main)
