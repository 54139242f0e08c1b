"""How far apart the packed rows lie, and what that cost."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from stages.common import artifacts, catalogue, params, sphere
from stages.common.errors import InputError
from stages.common.streams import stream
from stages.metrics.faces import Faces
from stages.reporting import figures, spread, tables
from stages.reporting.page import Block, Figures, Folded, Heading, Text
from stages.reporting.prose import say
from stages.reporting.sections.inputs import DATA, Inputs
from stages.settings.pack import Pack

NEIGHBOURS = 8192  # rows at most whose nearest neighbours are looked for
SEPARATION = {"closest": "cosine of the closest pair", "mean": "mean cosine to the nearest row"}


def packing(inputs: Inputs) -> list[Block]:
    """Show how far apart the packed rows lie, before and after rendering, and the front over alpha."""
    x_id, x_ref = artifacts.read_rows(DATA / "pack", "x_id")[0], artifacts.read_rows(DATA / "embed", "x_ref")[0]
    cfg = params.load("pack", Pack)
    held = cfg.method == "hyperface" and cfg.alpha > 0
    gallery = say(f"packing gallery {'held' if held else 'free'}", alpha=cfg.alpha)
    crowded = {"crowded": 100 * inputs.pack["crowded"], "crowded_cosine": cfg.crowded_cosine}
    pictures = [
        _nearest(inputs, cfg, x_id, x_ref),
        (figures.cosines(_cosines(x_id), inputs.folder / "cosines.png"), _caption("cosines", len(x_id), spread.MOST)),
        _front(inputs, cfg),
        *_course(inputs, cfg),
    ]
    return [
        Heading("Packing"),
        Text(say("packing bound", **bound(inputs.pack), **crowded, gallery=gallery)),
        Figures(pictures),
        Folded("All figures of the packing", [tables.tree(inputs.pack)]),
    ]


def bound(pack: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values for the texts about the closest pair and the bound on it."""
    closest, gap = pack["nearest_deg"]["min"], pack["gap_deg"]
    return {
        "identities": pack["identities"],
        "d": pack["embedding_size"],
        "closest_deg": closest,
        "gap_deg": gap,
        "bound_deg": closest + gap,
    }


def _nearest(inputs: Inputs, cfg: Pack, x_id: np.ndarray, x_ref: np.ndarray) -> tuple[Path, str]:
    """Draw the angles to the nearest neighbour: of gallery rows, of as many of them as are packed, of packed rows."""
    sample = stream("packing", cfg.seed).permutation(len(x_ref))[: len(x_id)]
    rows = {
        f"gallery, {len(x_ref):,} rows": x_ref,
        f"random of it, {len(sample):,} rows": x_ref[sample],
        f"packed, {len(x_id):,} rows": x_id,
    }
    angles_deg = {
        name: sphere.angle_deg(sphere.nearest_of(spread.spaced(np.arange(len(x)), NEIGHBOURS), x)[1])
        for name, x in rows.items()
    }
    caption = _caption("nearest", max(map(len, rows.values())), NEIGHBOURS, method=inputs.pack["method"])
    return figures.nearest(angles_deg, inputs.folder / "nearest.png"), caption


def _caption(figure: str, rows: int, most: int, **values: Any) -> str:
    """Return the text of a figure of the packing, and how many rows it shows where there are more."""
    some = f" {say(f'packing {figure} some', most=most)}" if rows > most else ""
    return say(f"packing {figure}", **values) + some


def _cosines(x_id: np.ndarray) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Return (panel, genuine, impostor) cosines: of the rows asked for, then of the images by each network."""
    images = catalogue.audited().select(["embedding", "identity", "cosine"])
    plain = images.filter(images["embedding"].is_valid())
    row, identity = plain["embedding"].to_numpy(), np.empty(len(plain), np.int64)
    identity[row] = np.unique(plain["identity"].to_numpy(), return_inverse=True)[1]
    panels = [("asked for", plain["cosine"].to_numpy(), spread.impostor_cosines(x_id))]
    for name, label in (("recogniser", "rendered, recogniser"), ("judge", "rendered, judge")):
        x = artifacts.map_array(DATA / "audit" / f"{name}.npy")
        if len(x) != len(plain):
            allowed = f"{len(plain)}, as many as {catalogue.AUDITED} has"
            raise InputError(DATA / "audit" / f"{name}.npy", f"{len(x)} rows", allowed=allowed)
        panels.append((label, *spread.centre_cosines(Faces(x, identity))))
    return panels


def _course(inputs: Inputs, cfg: Pack) -> list[tuple[Path, str]]:
    """Draw how J fell; nothing where the method has no iterations."""
    points = np.reshape(artifacts.read_json(DATA / "pack" / "course.json"), (-1, 2))
    if len(points) < 2:
        return []
    iterations, objective = points.T
    caption = say(
        "packing course",
        separation=SEPARATION[cfg.separation],
        alpha=cfg.alpha,
        start=objective[0],
        least=objective.min(),
        iterations=int(iterations[-1]),
        allowed=cfg.iterations,
        step=int(iterations[-1] - iterations[-2]),
        gain=max(objective[:-1].min() - objective[-1], 0),
    )
    return [(figures.course(iterations, objective, inputs.folder / "course.png"), caption)]


def _front(inputs: Inputs, cfg: Pack) -> tuple[Path, str]:
    """Draw the front over alpha on the run's gallery, and where the run lies."""
    front = artifacts.read_mapping(DATA / "pack" / "front.json", "identities", "gallery", "points")
    ends = {
        _alpha(point["alpha"]): np.array([point["gallery_term"], point[cfg.separation]]) for point in front["points"]
    }
    pack, m, m_front = inputs.pack, inputs.pack["identities"], front["identities"]
    name = _alpha(cfg.alpha) if cfg.method == "hyperface" and m == m_front else "this run"
    bound = pack["bound"] if cfg.separation == "closest" else None  # there is none for the mean
    caption = say(
        "packing front",
        few=m_front,
        gallery=front["gallery"],
        room=say("packing front room", identities=m) if m > m_front else "",
        method=cfg.method,
        gap="" if bound is None else say("packing front gap", gap_deg=pack["gap_deg"]),
    )
    run = figures.Run(name, np.array([pack["gallery_term"], pack["separation"]]), bound)
    return figures.front(ends, run, SEPARATION[cfg.separation], inputs.folder / "front.png"), caption


def _alpha(value: float) -> str:
    return f"{value:g}".removeprefix("0") or "0"
