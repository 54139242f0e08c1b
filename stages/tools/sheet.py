"""Draw sheets of faces: `python -m stages.tools.sheet people --seed 7 --domain wild --size-px 112`.

people   144 people, one image of each
images   12 people, 12 images of each
sweeps   each style column in 12 steps from one limit to the other, a row and a person for each
worst    the faces that are hardest to draw; look at them after every change of the world
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch

from stages.common import params
from stages.common.errors import InputError
from stages.common.shards import Provenance
from stages.common.world import World
from stages.tools import command
from stages.world import identity, render, style
from stages.world.album import Album, portraits

SIDE = 12  # faces in a row
# (seed, image) of `people --spread 1`, domain wild: full profiles, chins in the air and on the chest, hair before a
# bright wall, light that burns out or hardly reaches, occluders.
WORST = ((3, 44), (3, 75), (3, 102), (3, 61), (3, 73), (3, 87), (3, 103), (3, 7), (3, 122), (3, 39), (3, 101), (3, 140))


def people(seed: int, domain: str, spread: float, each: int) -> Album:
    """Return SIDE x SIDE images, `each` of a person, of the population ("sheet", seed)."""
    return portraits("sheet", seed, SIDE * SIDE // each, each, domain, spread)


def worst() -> Album:
    """Return the images that WORST names."""
    albums = {seed: people(seed, "wild", 1.0, 1) for seed, _ in WORST}
    parts = [(albums[seed], image) for seed, image in WORST]
    z, styles = (torch.stack([getattr(album, name)[image] for album, image in parts]) for name in ("z", "style"))
    identities, seeds = (
        np.array([getattr(album.rows, name)[image] for album, image in parts]) for name in ("identity", "seed")
    )
    return Album(z, styles, Provenance("wild", identities, np.zeros(len(seeds), np.int64), seeds))


def sweeps(seed: int, domain: str) -> Album:
    """Return SIDE images for each style column, from its lowest to its highest value, a person for each column."""
    column, step = (grid.ravel() for grid in np.mgrid[: style.STYLE_DIM, :SIDE])
    styles = torch.zeros(style.STYLE_DIM, SIDE, style.STYLE_DIM)
    for i, (low, high) in enumerate(style.limits()):
        styles[i, :, i] = torch.linspace(low, high, SIDE)
    rows = Provenance(domain, column, step, np.zeros(len(column), np.int64))
    return Album(identity.sample("sheet", seed, column), styles.flatten(0, 1), rows)


def tiled(faces: np.ndarray) -> np.ndarray:
    """Return faces (b, s, s, 3), b a multiple of SIDE, as one picture (b / SIDE * s, SIDE * s, 3)."""
    size = faces.shape[1]
    return faces.reshape(-1, SIDE, size, size, 3).swapaxes(1, 2).reshape(-1, SIDE * size, 3)


def main(arguments: Sequence[str]) -> str:
    """Run the command line."""
    parser = argparse.ArgumentParser("python -m stages.tools.sheet", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("kind", choices=["people", "images", "sweeps", "worst"])
    parser.add_argument("--seed", type=int, default=0, help="of the population")
    parser.add_argument("--domain", choices=render.DOMAINS, default="wild")
    parser.add_argument("--spread", type=float, help="width of the style; default: the domain's in params.yaml")
    parser.add_argument("--size-px", type=int, help="side of a face, a multiple of 16; default: world.size_px")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("dvc_plots/sheet.png"),
        help="a .png or .jpg; default: %(default)s, ignored by git",
    )
    args, world = parser.parse_args(arguments), params.load("world", World)
    size_px = args.size_px or world.size_px
    if args.out == parser.get_default("out"):
        args.out.parent.mkdir(exist_ok=True)
    spread = args.spread if args.spread is not None else getattr(world.spread, args.domain)
    album = {
        "people": lambda: people(args.seed, args.domain, spread, 1),
        "images": lambda: people(args.seed, args.domain, spread, SIDE),
        "sweeps": lambda: sweeps(args.seed, args.domain),
        "worst": worst,
    }[args.kind]()
    picture = tiled(album.faces(slice(None), size_px))
    if not (args.out.parent.is_dir() and cv2.haveImageWriter(str(args.out))):
        allowed = "a .png or .jpg in a folder that exists"
        raise InputError(None, "cannot be written", key="--out", value=str(args.out), allowed=allowed)
    cv2.imwrite(str(args.out), picture[..., ::-1])
    return f"{args.kind}: {len(album.z)} faces of {size_px} px -> {args.out}"


if __name__ == "__main__":
    command.run(main)
