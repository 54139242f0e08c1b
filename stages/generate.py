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

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from stages import generators
from stages.attributes import attrop, record
from stages.common import artifacts, params, ranks, shards, sphere, stage, tables
from stages.common.errors import InputError
from stages.common.params import Network
from stages.common.shards import Drawn, Provenance, Roster
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


def partners(person: np.ndarray, identities: int, images: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return SynFace's partner and ratio of each mixed image of some of the identities (p,), (p, images) each.

    Partners of an identity are drawn from the others, without replacement while there are enough. Ratios are drawn
    uniformly from 0, 0.05, ..., 1, so a few images show the partner alone, as in the paper's code.
    """
    partner, ratio = np.empty((len(person), images), np.int64), np.empty((len(person), images), np.float32)
    for row, i in enumerate(person):
        rng = stream("mixup partners", seed, i)
        others = rng.choice(identities - 1, images, replace=images > identities - 1)
        partner[row] = others + (others >= i)
        ratio[row] = rng.choice(RATIOS, images)
    return partner, ratio


@dataclass(frozen=True)
class Mixed:
    """The rows of people who are mixed among themselves, the same number of images each."""

    people: Roster

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.people)

    def __getitem__(self, part: slice) -> Provenance:
        """Return where the images of a slice come from, with each one's partner and ratio."""
        rows, depth = self.people[part], self.people.depth
        person, place = np.unique(rows.identity, return_inverse=True)
        partner, ratio = partners(person, len(depth), depth[0], self.people.seed)
        return replace(rows, partner=partner[place, rows.index], ratio=ratio[place, rows.index])


def conditions(generator: Generator, name: str, rows: Rows, seed: int, folder: Path) -> np.ndarray:
    """Return the conditions (m, c) of rows, computed in chunks by all ranks; finished chunks are kept.

    They are memory-mapped: of 300,000 identities they would take half a gigabyte on every rank.
    """
    x, norms = rows
    files = {folder / f".{name}-{start:07d}.npy": start for start in range(0, len(x), CHUNK)}

    def work(file: Path) -> None:
        part = np.minimum(np.arange(files[file], files[file] + CHUNK), len(x) - 1)  # the last row fills the last chunk
        seeds = shards.image_seeds(f"condition-{name}", seed, part, np.zeros(CHUNK, np.int64))
        artifacts.write_array(file, generator.condition(x[part], norms[part], seeds)[: len(x) - files[file]])

    ranks.make({file: min(CHUNK, len(x) - start) for file, start in files.items()}, work, f"refine {name}", "rows")
    if ranks.rank() == 0:
        artifacts.join_arrays(folder / f".{name}.npy", list(files))
    ranks.barrier()
    return artifacts.map_array(folder / f".{name}.npy")


def plain(generator: Generator, x_id: np.ndarray, condition: np.ndarray, cfg: Generate, folder: Path) -> Roster:
    """Draw every identity's images, and keep the cosine of each one's row to its identity's; returns who is on them."""
    depth = np.array([cfg.images_of(i) for i in range(len(x_id))])
    people = Roster("generate", cfg.seed, generator.domain, depth, generator.frame_px)

    def faces(part: slice) -> Drawn:
        rows = people[part]
        centre = x_id[rows.identity]
        x = perturb(centre, rows.seed, noise_scale(cfg, rows.index, x_id.shape[1]))
        artifacts.write_array(cosines(folder, part.start), np.einsum("bd,bd->b", x, centre).astype(np.float32))
        return generators.faces(generator, generator.perturbed(condition[rows.identity], centre, x), rows.seed)

    shards.draw("plain", people, faces, folder)
    return people


def cosines(folder: Path, start: int) -> Path:
    """Return the file of the cosines of a shard of plain images, which is there before the shard is."""
    return folder / f".cosine-{start:010d}.npy"


def mixup(
    generator: Generator, x_id: np.ndarray, condition: np.ndarray, cfg: Generate, folder: Path, width: int
) -> Roster:
    """Draw SynFace's identity mixup: conditions of two identities, each perturbed as a plain image would be.

    Both are among the first `width` identities. Returns who is on the images.
    """
    depth = np.full(min(width, len(x_id)), cfg.mixup.images)
    mixed = Mixed(Roster("mixup", cfg.seed, generator.domain, depth, generator.frame_px))

    def faces(part: slice) -> Drawn:
        rows = mixed[part]
        scale = noise_scale(cfg, rows.index, x_id.shape[1])

        def parent(person: np.ndarray) -> np.ndarray:
            x = x_id[person]
            return generator.perturbed(condition[person], x, perturb(x, rows.seed, scale))

        assert rows.partner is not None and rows.ratio is not None
        both = generator.mixed(parent(rows.identity), parent(rows.partner), rows.ratio)
        return generators.faces(generator, both, rows.seed)

    shards.draw(mixup_prefix(cfg, width), mixed, faces, folder)
    return mixed.people


def mixup_prefix(cfg: Generate, width: int) -> str:
    """Return how the shards of the images begin that are mixed among so many identities."""
    return "mixup" if width == cfg.mixup.widths()[0] else f"mixup-{width}"


def write_listing(folder: Path, drawn: Mapping[str, tuple[Roster, int | None]]) -> None:
    """Write images.feather: who is on the shards of each prefix, and the width of the mixup where they are mixed."""
    with tables.writing(folder / "images.feather", tables.DRAWN) as write:
        for number, (people, width) in enumerate(drawn.values()):
            parts = shards.slices(len(people))
            several = tables.ROWS_PER_BATCH // parts[0].stop
            for first in range(0, len(parts), several):
                some = parts[first : first + several]
                identity, index = people.who(slice(some[0].start, some[-1].stop))
                prefix = tables.worded(np.full(len(index), number, np.int8), list(drawn))
                if width is None:
                    cosine = np.concatenate([artifacts.read_array(cosines(folder, part.start)) for part in some])
                    write(listed(prefix, identity, index, cosine=cosine))
                else:
                    write(listed(prefix, identity, index, width))


def listed(
    prefix: pa.Array,
    identity: np.ndarray,
    index: np.ndarray,
    width: int | None = None,
    cosine: np.ndarray | None = None,
) -> pa.Table:
    """Return rows of images.feather (b,), with the cosine of each plain image or the width of the mixup."""
    none = pa.nulls(len(prefix), pa.float32())
    columns = {"prefix": prefix, "identity": identity, "index": index, "cosine": none if cosine is None else cosine}
    return tables.of(tables.DRAWN, columns | {"width": none if width is None else np.full(len(prefix), width)})


def control_rows(d: int, count: int) -> dict[str, Rows]:
    """Return the first `count` rows, of the size d, of the gallery and of the Gaussian fitted to it."""
    stored = {"gallery": ("data/embed", "x_ref"), "gaussian": ("data/pack", "x_normal")}
    rows = {name: artifacts.map_rows(*place, d) for name, place in stored.items()}
    return {name: (x[:count], norms[:count]) for name, (x, norms) in rows.items()}


def control(generator: Generator, name: str, condition: np.ndarray, cfg: Generate, folder: Path) -> None:
    """Draw unperturbed images of the first identities."""
    depth = np.full(min(cfg.control.identities, len(condition)), cfg.control.images)
    people = Roster(f"control-{name}", cfg.seed, generator.domain, depth, generator.frame_px)

    def faces(part: slice) -> Drawn:
        rows = people[part]
        return generators.faces(generator, condition[rows.identity], rows.seed)

    shards.draw(f"control-{name}", people, faces, folder)


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


def draw(generator: Generator, cfg: Generate, embed: Network, folder: Path) -> tuple[int, int]:
    """Draw all images and what is written beside them; returns how many plain images there are, and people on them."""
    x_id, norms = artifacts.map_rows("data/pack", "x_id")
    others = control_rows(x_id.shape[1], cfg.control.identities)
    needed = max(cfg.identities(), *cfg.mixup.widths(), cfg.control.identities)
    if not cfg.attributes.centres:  # else the further rows replace those that AttrOP does not accept
        x_id, norms = x_id[:needed], norms[:needed]
    mover = attrop.load(generator, cfg, embed, folder) if cfg.needs_gradients() else None
    packed = conditions(generator, "packed", (x_id, norms), cfg.seed, folder)
    rows, moved = np.arange(len(x_id)), []
    if mover and cfg.attributes.centres:
        packed, table = mover.centres(x_id, packed)
        rows, moved = accepted(table)[:needed], [table]
        x_id, packed = x_id[rows], packed[rows]
    drawn: dict[str, tuple[Roster, int | None]] = {"plain": (plain(generator, x_id, packed, cfg, folder), None)}
    for width in cfg.mixup.widths():
        drawn[mixup_prefix(cfg, width)] = mixup(generator, x_id, packed, cfg, folder, width), width
    control(generator, "packed", packed, cfg, folder)
    for name, of in others.items():
        control(generator, name, conditions(generator, name, of, cfg.seed, folder), cfg, folder)
    if mover and cfg.poses.identities:
        moved += [mover.poses(x_id, packed, rows)]
    if ranks.rank() == 0:
        write_listing(folder, drawn)
        artifacts.write_array(folder / "rows.npy", rows)
        record.write(folder, moved)
    return len(drawn["plain"][0]), min(cfg.identities(), len(rows))


def run(generator: Generator, cfg: Generate, embed: Network) -> str:
    """Make the stage's output with a generator; returns the closing line."""
    with ranks.kept("generate") as folder:
        images, people = draw(generator, cfg, embed, folder)
        ranks.publish(folder, "data/generate")
    if ranks.rank() > 0:
        return ""
    listing = tables.read("data/generate/images.feather", tables.DRAWN, nullable=("width", "cosine"))
    mean = f"cosine of a perturbed row to its identity {np.nanmean(listing['cosine'].to_numpy()):.3f}"
    note = alignment.fixed_crops("data/generate")
    return f"generate: {images} images of {people} identities, {mean}{note} -> data/generate"


def main() -> str:
    """Run the stage."""
    cfg = params.load("generate", Generate)
    artifacts.map_rows("data/pack", "x_id")  # refused, if it has to be, before a large generator is loaded
    return run(generators.load(cfg, params.load("world", World)), cfg, params.load("embed", Network))


if __name__ == "__main__":
    stage.run(main)
