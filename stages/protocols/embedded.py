"""The embedded protocols: rendered people in the manner of LFW, CFP-FP, AgeDB, CALFW, CPLFW, and Syn-LFW."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import torch

from stages.common.shards import Roster
from stages.common.streams import stream
from stages.common.world import World
from stages.protocols import drawn_pairs
from stages.settings.benchmarks import Benchmarks
from stages.world import identity, style
from stages.world.album import Album, photographed

FRONTAL_DEG, PROFILE_DEG, TURNED_DEG = (0, 10), (52, 72), (25, 55)  # in CFP-FP profiles are beyond 50 degrees of yaw
AGE_GAP_YEARS = 30
YOUNGEST_YEARS = 12  # nobody is made younger: AgeDB holds few children
PEOPLE = 4096  # looked at together
HALF = 4  # where two conditions meet, each of a person's first four images is compared with each of the last four


Values = Callable[[np.ndarray, np.ndarray, np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class Protocol:
    """What a protocol compares.

    depth: images of each person; combos: which of them make pairs; column: of their styles, which `values` sets, given
    each image's index (n,) and its person's age in years (n,); matched: whether impostors are alike in sex, skin and
    age.
    """

    depth: int
    combos: drawn_pairs.Combos
    column: str = ""
    values: Values | None = None
    matched: bool = False


@dataclass(frozen=True)
class Scenes:
    """The images of a protocol: people in random styles, in which `column`, if any, has the `values` (n,)."""

    people: Roster
    spread: float
    column: str = ""
    values: np.ndarray | None = None

    def album(self, part: slice) -> Album:
        """Return the images of a slice."""
        album = photographed(self.people, part, self.spread)
        if self.values is None:
            return album
        album.style[:, style.column(self.column)] = torch.from_numpy(self.values[part].astype(np.float32))
        return album


def turned(yaw_deg: tuple[int, int]) -> Values:
    """Return yaws that leave a person's first four images frontal and turn the last four by `yaw_deg`."""

    def values(index: np.ndarray, age_years: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        size = np.where(index < HALF, rng.uniform(*FRONTAL_DEG, len(index)), rng.uniform(*yaw_deg, len(index)))
        return size * rng.choice([-1, 1], len(index))

    return values


def aged(index: np.ndarray, age_years: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return age offsets that make a person's last four images exactly 30 years older than the first four."""
    young = np.maximum(age_years - AGE_GAP_YEARS / 2, YOUNGEST_YEARS)
    return young - age_years + AGE_GAP_YEARS * (index >= HALF)


PROTOCOLS = {
    "lfw": Protocol(6, drawn_pairs.any_two(6)),
    "cfp-fp": Protocol(2 * HALF, drawn_pairs.across(HALF), "yaw_deg", turned(PROFILE_DEG)),
    "agedb": Protocol(2 * HALF, drawn_pairs.across(HALF), "age_offset_years", aged),
    "calfw": Protocol(2 * HALF, drawn_pairs.across(HALF), "age_offset_years", aged, matched=True),
    "cplfw": Protocol(2 * HALF, drawn_pairs.across(HALF), "yaw_deg", turned(TURNED_DEG), matched=True),
}


def make(name: str, cfg: Benchmarks, world: World) -> tuple[Scenes, pa.Table]:
    """Return the images and the pairs of one protocol of the `wild` domain; its people are in no other."""
    protocol = PROTOCOLS[name]
    people = Roster(f"benchmarks-{name}", cfg.seed, "wild", np.full(cfg.identities, protocol.depth))
    scenes, about = Scenes(people, world.spread.wild), traits(people)
    if protocol.values:
        who, index = people.who(slice(None))
        rng = stream("benchmark", cfg.seed, len(name), *name.encode())
        values = protocol.values(index, about["age_years"][who], rng)
        scenes = replace(scenes, column=protocol.column, values=values)
    matched = _standardised(about) if protocol.matched else None
    key = [cfg.seed, *name.encode()]
    return scenes, drawn_pairs.draw(cfg.identities, protocol.depth, protocol.combos, key, matched)


def in_studio(scenes: Scenes, world: World, part: slice) -> Album:
    """Return a slice of what `wild` LFW shows, photographed in `studio` (Syn-LFW): people, poses, expressions, lights.

    Camera and background are the studio's; hair, beard, glasses and age stay, image for image.
    """
    album = scenes.album(part)
    studio = style.sample(album.rows.seed, "studio", world.spread.studio)
    for group in ("camera", "background"):
        album.style[:, style.GROUPS[group]] = studio[:, style.GROUPS[group]]
    return replace(album, rows=replace(album.rows, domain="studio"))


def traits(people: Roster) -> dict[str, np.ndarray]:
    """Return sex, skin and age in years of people, (m,) each."""
    m = len(people.depth)
    parts = [range(start, min(start + PEOPLE, m)) for start in range(0, m, PEOPLE)]
    found = [identity.attributes(identity.sample(people.split, people.seed, part)) for part in parts]
    return {name: np.concatenate([part[name].numpy() for part in found]) for name in found[0]}


def _standardised(traits: dict[str, np.ndarray]) -> np.ndarray:
    """Return traits (m, 3) in standard deviations, sex threefold, so that matches share it."""
    x = np.stack(list(traits.values()), 1)
    standardised = (x - x.mean(0)) / x.std(0)
    standardised[:, 0] *= 3
    return standardised
