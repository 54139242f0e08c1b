"""The embedded protocols: rendered people in the manner of LFW, CFP-FP, AgeDB, CALFW, CPLFW, and Syn-LFW."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from stages.common.streams import stream
from stages.common.world import World
from stages.protocols import drawn_pairs
from stages.settings.benchmarks import Benchmarks
from stages.world import identity, style
from stages.world.album import Album, portraits

FRONTAL_DEG, PROFILE_DEG, TURNED_DEG = (0, 10), (52, 72), (25, 55)  # in CFP-FP profiles are beyond 50 degrees of yaw
AGE_GAP_YEARS = 30
YOUNGEST_YEARS = 12  # nobody is made younger: AgeDB holds few children
HALF = 4  # where two conditions meet, each of a person's first four images is compared with each of the last four


@dataclass(frozen=True)
class Protocol:
    """What a protocol compares.

    depth: images of each person; combos: which of them make pairs; restyle: sets their styles; matched: whether
    impostors are alike in sex, skin and age.
    """

    depth: int
    combos: drawn_pairs.Combos
    restyle: Callable[[Tensor, Tensor, np.ndarray, np.random.Generator], Tensor] | None = None
    matched: bool = False


def turned(yaw_deg: tuple[int, int]) -> Callable[[Tensor, Tensor, np.ndarray, np.random.Generator], Tensor]:
    """Return a restyling that leaves a person's first four images frontal and turns the last four by `yaw_deg`."""

    def restyle(styles: Tensor, z: Tensor, index: np.ndarray, rng: np.random.Generator) -> Tensor:
        size = np.where(index < HALF, rng.uniform(*FRONTAL_DEG, len(index)), rng.uniform(*yaw_deg, len(index)))
        return _with_column(styles, "yaw_deg", size * rng.choice([-1, 1], len(index)))

    return restyle


def aged(styles: Tensor, z: Tensor, index: np.ndarray, rng: np.random.Generator) -> Tensor:
    """Make a person's last four images exactly 30 years older than the first four."""
    base = identity.attributes(z)["age_years"].numpy()
    young = np.maximum(base - AGE_GAP_YEARS / 2, YOUNGEST_YEARS)
    return _with_column(styles, "age_offset_years", young - base + AGE_GAP_YEARS * (index >= HALF))


PROTOCOLS = {
    "lfw": Protocol(6, drawn_pairs.any_two(6)),
    "cfp-fp": Protocol(2 * HALF, drawn_pairs.across(HALF), turned(PROFILE_DEG)),
    "agedb": Protocol(2 * HALF, drawn_pairs.across(HALF), aged),
    "calfw": Protocol(2 * HALF, drawn_pairs.across(HALF), aged, matched=True),
    "cplfw": Protocol(2 * HALF, drawn_pairs.across(HALF), turned(TURNED_DEG), matched=True),
}


def make(name: str, cfg: Benchmarks, world: World) -> tuple[Album, pa.Table]:
    """Return the album and the pairs of one protocol of the `wild` domain; its people are in no other."""
    protocol = PROTOCOLS[name]
    split = f"benchmarks-{name}"
    album = portraits(split, cfg.seed, cfg.identities, protocol.depth, "wild", world.spread.wild)
    rng = stream("benchmark", cfg.seed, len(name), *name.encode())
    if protocol.restyle:
        album = replace(album, style=protocol.restyle(album.style, album.z, album.rows.index, rng))
    traits = _standardised(album.z[:: protocol.depth]) if protocol.matched else None
    key = [cfg.seed, *name.encode()]
    return album, drawn_pairs.draw(cfg.identities, protocol.depth, protocol.combos, key, traits)


def in_studio(album: Album, world: World) -> Album:
    """Return the same people, poses, expressions and lights as `wild` LFW shows, photographed in `studio` (Syn-LFW).

    Camera and background are the studio's; hair, beard, glasses and age stay, image for image.
    """
    styles = album.style.clone()
    studio = style.sample(album.rows.seed, "studio", world.spread.studio)
    for group in ("camera", "background"):
        styles[:, style.GROUPS[group]] = studio[:, style.GROUPS[group]]
    return Album(album.z, styles, replace(album.rows, domain="studio"))


def _with_column(styles: Tensor, name: str, values: np.ndarray) -> Tensor:
    styles = styles.clone()
    styles[:, style.column(name)] = torch.from_numpy(values.astype(np.float32))
    return styles


def _standardised(z: Tensor) -> np.ndarray:
    """Return sex, skin and age (people, 3) in standard deviations, sex threefold, so that matches share it."""
    traits = np.stack([value.numpy() for value in identity.attributes(z).values()], 1)
    standardised = (traits - traits.mean(0)) / traits.std(0)
    standardised[:, 0] *= 3
    return standardised
