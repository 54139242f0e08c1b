"""Draw images of the packed identities.

reads   data/pack/    x_id (m, d) unit rows with native norms, and x_normal, for the control;
        data/embed/  x_ref (n, d), likewise; the backend's weights; params generate, world;
        for AttrOP the network of params embed, that of generate.attributes and data/pretrain/pose
writes  data/generate/plain-*.arrow             k images of each identity, perturbed
        data/generate/mixup-*.arrow             identity mixup: both labels and the ratio are columns;
                                                mixup-WIDTH-* of each width after the first
        data/generate/control-packed-*.arrow    unperturbed images of packed rows
        data/generate/control-gallery-*.arrow   the same of gallery rows, the easiest rows there are
        data/generate/control-gaussian-*.arrow  the same of a Gaussian fitted to the gallery
        data/generate/images.feather            of each plain and mixed image: the cosine of the row asked for to its
                                                identity's row, or the width it is mixed among
        data/generate/rows.npy                  (identities,) row of data/pack that each identity is
        data/generate/poses-*.arrow             the first identities at designated poses, one image each
        data/generate/attributes.feather        what AttrOP reached of every row that it moved, failures too
"""

from pathlib import Path

import numpy as np
import pyarrow as pa

from stages import generators
from stages.attributes import attrop, record
from stages.common import artifacts, params, ranks, shards, sphere, stage, tables
from stages.common.params import Network
from stages.common.shards import Drawn, Provenance
from stages.foreign import alignment
from stages.generators import Generator
from stages.settings.generate import Generate, Noise
from stages.settings.world import World

Rows = tuple[np.ndarray, np.ndarray]  # unit rows (m, d) and their native norms (m,)
CHUNK = 20  # identities conditioned together, padded: the unit of work of a rank
RATIOS = np.arange(21) / 20  # SynFace's grid of mixup ratios


def sigmas(depth: int, mixture: list[Noise]) -> np.ndarray:
    """Return the sigma of each of an identity's images (depth,), so that every prefix keeps to the shares.

    Vec2Face shuffles over the whole set, which leaves single identities with other shares; here each has its own.
    """
    share = np.array([noise.share for noise in mixture])
    given, picked = np.zeros(len(mixture)), []
    for image in range(depth):
        picked.append(int(np.argmax(share * (image + 1) - given)))
        given[picked[-1]] += 1
    return np.array([mixture[i].sigma for i in picked])


def perturb(x: np.ndarray, seeds: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Return unit rows x (b, d) with Gaussian noise of standard deviation `scale` (b,) a coordinate, unit again."""
    noise = np.stack([np.random.default_rng([seed, 1]).standard_normal(x.shape[1]) for seed in seeds])
    return sphere.unit_rows(x + scale[:, None] * noise)


def noise_scale(cfg: Generate, index: np.ndarray, d: int) -> np.ndarray:
    """Return the noise per coordinate of a unit row (b,), by the number of the image within its identity.

    HyperFace adds beta to the unit row. Vec2Face's sigma counts in standard deviations of a coordinate at native norm
    r, which are r / sqrt(d), so on the unit row it is sigma / sqrt(d) and the expected cosine 1 / sqrt(1 + sigma^2).
    """
    match cfg.perturbation:
        case "none":
            return np.zeros(len(index))
        case "beta":
            return np.full(len(index), cfg.beta)
        case "sigma":
            return sigmas(int(index.max()) + 1, cfg.sigma)[index] / np.sqrt(d)


def partners(identities: int, images: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return SynFace's partner and ratio of each mixed image, (identities, images) each.

    Partners of one identity are drawn from the others without replacement while there are enough; ratios uniformly
    from 0, 0.05, ..., 1, so a few images show the partner alone, as in the paper's code.
    """
    partner, ratio = np.empty((identities, images), np.int64), np.empty((identities, images), np.float32)
    for i in range(identities):
        rng = np.random.default_rng([seed, i, 2])
        others = rng.choice(identities - 1, images, replace=images > identities - 1)
        partner[i] = others + (others >= i)
        ratio[i] = rng.choice(RATIOS, images)
    return partner, ratio


def conditions(generator: Generator, name: str, rows: Rows, seed: int, folder: Path) -> np.ndarray:
    """Return the conditions (m, c) of rows, computed in chunks by all ranks; done chunks are kept."""
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
    """Return the rows of images.feather for PREFIX-*.arrow: cosines (images,), or the width they are mixed among."""
    count = len(rows.identity)
    about = {"identity": rows.identity, "index": rows.index, "cosine": [None] * count if cosine is None else cosine}
    return tables.of(tables.DRAWN, {"prefix": [prefix] * count, "width": [width] * count, **about})


def plain(generator: Generator, x_id: np.ndarray, condition: np.ndarray, cfg: Generate, folder: Path) -> pa.Table:
    """Draw every identity's images; returns their rows of images.feather."""
    depth = [cfg.images_of(i) for i in range(len(x_id))]
    who = np.repeat(np.arange(len(x_id)), depth)
    index = np.concatenate([np.arange(k) for k in depth])
    seeds = shards.image_seeds("generate", cfg.seed, who, index)
    x = perturb(x_id[who], seeds, noise_scale(cfg, index, x_id.shape[1]))
    rows = Provenance(generator.domain, who, index, seeds, frame_px=generator.frame_px)

    def faces(part: slice) -> Drawn:
        moved = generator.perturbed(condition[who[part]], x_id[who[part]], x[part])
        return generators.faces(generator, moved, seeds[part])

    shards.draw("plain", rows, faces, folder)
    return listed("plain", rows, cosine=np.einsum("bd,bd->b", x, x_id[who]).astype(np.float32))


def mixup(
    generator: Generator, x_id: np.ndarray, condition: np.ndarray, cfg: Generate, folder: Path, width: int
) -> pa.Table:
    """Draw SynFace's identity mixup: conditions of two identities, each perturbed as a plain image would be.

    Both are among the first `width` identities. Returns their rows of images.feather.
    """
    m, k = min(width, len(x_id)), cfg.mixup.images
    who, index = (grid.ravel() for grid in np.mgrid[:m, :k])
    partner, ratio = (grid.ravel() for grid in partners(m, k, cfg.seed))
    seeds = shards.image_seeds("mixup", cfg.seed, who, index)
    scale = noise_scale(cfg, index, x_id.shape[1])
    rows = Provenance(generator.domain, who, index, seeds, partner, ratio, generator.frame_px)

    def parent(person: np.ndarray, part: slice) -> np.ndarray:
        x = x_id[person[part]]
        return generator.perturbed(condition[person[part]], x, perturb(x, seeds[part], scale[part]))

    def faces(part: slice) -> Drawn:
        between = generator.mixed(parent(who, part), parent(partner, part), ratio[part])
        return generators.faces(generator, between, seeds[part])

    prefix = "mixup" if width == cfg.mixup.widths()[0] else f"mixup-{width}"
    shards.draw(prefix, rows, faces, folder)
    return listed(prefix, rows, width)


def control(generator: Generator, name: str, condition: np.ndarray, cfg: Generate, folder: Path) -> None:
    """Draw unperturbed images of the first identities."""
    who, index = (
        grid.ravel() for grid in np.mgrid[: min(cfg.control.identities, len(condition)), : cfg.control.images]
    )
    seeds = shards.image_seeds(f"control-{name}", cfg.seed, who, index)
    rows = Provenance(generator.domain, who, index, seeds, frame_px=generator.frame_px)
    shards.draw(f"control-{name}", rows, lambda p: generators.faces(generator, condition[who[p]], seeds[p]), folder)


def accepted(reached: pa.Table) -> np.ndarray:
    """Return the rows of data/pack that AttrOP accepted; raises ValueError when fewer than two identities are left."""
    rows = np.flatnonzero(reached["accepted"].to_numpy())
    if len(rows) < 2:
        raise ValueError(
            f"generate.attributes: {len(rows)} of {len(reached)} identities reached min_cosine and min_norm; "
            f"allowed: at least 2; best cosine {np.max(reached['cosine'].to_numpy()):.2f}, "
            f"best norm {np.max(reached['norm'].to_numpy()):.2f}"
        )
    return rows


def main() -> str:
    """Run the stage."""
    cfg, world, rows_by = params.load("generate", Generate), params.load("world", World), params.load("embed", Network)
    x_id, norms = artifacts.read_rows("data/pack", "x_id")
    needed = max(cfg.identities(), *cfg.mixup.widths(), cfg.control.identities)
    if not cfg.attributes.centres:  # else the rows beyond take the place of those that fail
        x_id, norms = x_id[:needed], norms[:needed]
    d, few = x_id.shape[1], cfg.control.identities
    controls = {
        "gallery": artifacts.read_rows("data/embed", "x_ref", d),
        "gaussian": artifacts.read_rows("data/pack", "x_normal", d),
    }
    generator = generators.load(cfg, world)
    with ranks.kept("generate") as folder:
        moving = attrop.load(generator, cfg, rows_by, folder) if cfg.needs_gradients() else None
        packed = conditions(generator, "packed", (x_id, norms), cfg.seed, folder)
        rows, reached = np.arange(len(x_id)), []
        if moving and cfg.attributes.centres:
            packed, table = moving.centres(x_id, packed)
            rows, reached = accepted(table)[:needed], [table]
            x_id, packed = x_id[rows], packed[rows]
        images = [plain(generator, x_id, packed, cfg, folder)]
        images += [mixup(generator, x_id, packed, cfg, folder, width) for width in cfg.mixup.widths()]
        control(generator, "packed", packed, cfg, folder)
        for name, (x, native) in controls.items():
            drawn = conditions(generator, name, (x[:few], native[:few]), cfg.seed, folder)
            control(generator, name, drawn, cfg, folder)
        if moving and cfg.poses.identities:
            reached += [moving.poses(x_id, packed, rows)]
        if ranks.rank() == 0:
            tables.write(folder / "images.feather", pa.concat_tables(images))
            artifacts.write_array(folder / "rows.npy", rows)
            record.write(folder, reached)
        ranks.publish(folder, "data/generate")
    cosine = images[0]["cosine"].to_numpy()
    expected = f"cosine of a perturbed row to its identity {cosine.mean():.3f}"
    fixed, people = alignment.fixed_crops("data/generate"), min(cfg.identities(), len(rows))
    return f"generate: {len(cosine)} images of {people} identities, {expected}{fixed} -> data/generate"


if __name__ == "__main__":
    stage.run(main)
