"""How far apart the packed rows lie, and what that cost."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from stages.common import artifacts, catalogue, params, sphere
from stages.common.errors import InputError
from stages.common.streams import stream
from stages.metrics.faces import Faces
from stages.reporting import packing_figures, spread, tables
from stages.reporting.blocks import Block, Claim, Figures, Folded, Heading, Picture, Text
from stages.reporting.prose import say
from stages.reporting.sections.inputs import DATA, Inputs
from stages.reporting.sections.parameters import again
from stages.reporting.tables import Cell
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
        _told_apart(inputs, x_id),
        _front(inputs, cfg),
        *_course(inputs, cfg),
    ]
    return [
        claim(inputs),
        Heading("Packing"),
        Text(say("packing bound", **bound(inputs.pack), **crowded, gallery=gallery)),
        Figures(pictures),
        Folded("All figures of the packing", [replace(tables.tree(inputs.pack), name="packing")]),
    ]


def claim(inputs: Inputs) -> Claim:
    """Say how near the packing comes to the bound; nothing in it was drawn."""
    pack, cfg = inputs.pack, inputs.values["pack"]
    by = "hyperface" if pack["method"] == "hyperface" else "other"  # the other methods have no alpha
    return Claim(
        Cell(f"{pack['gap_deg']:.2f}°"),
        say("claim gap unit"),
        say(f"claim packing {by}", **bound(pack), method=pack["method"], alpha=cfg["alpha"]),
        say("verdict packing"),
        True,
        [("angles to the nearest", inputs.folder / "nearest.png"), ("what alpha trades", inputs.folder / "front.png")],
        again({"pack": cfg}, "dvc repro -f -s pack report"),
    )


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


def _nearest(inputs: Inputs, cfg: Pack, x_id: np.ndarray, x_ref: np.ndarray) -> Picture:
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
    seen = "; ".join(f"{name}, median {np.median(deg):.1f}°" for name, deg in angles_deg.items())
    return Picture(
        packing_figures.nearest(angles_deg, inputs.folder / "nearest.png"), caption, say("alt nearest", rows=seen)
    )


def _caption(figure: str, rows: int, most: int, **values: Any) -> str:
    """Return the text of a figure of the packing, and how many rows it shows where there are more."""
    some = f" {say(f'packing {figure} some', most=most)}" if rows > most else ""
    return say(f"packing {figure}", **values) + some


def _told_apart(inputs: Inputs, x_id: np.ndarray) -> Picture:
    """Draw genuine beside impostor cosines, before and after rendering."""
    panels = _cosines(x_id)
    file = packing_figures.cosines(panels, inputs.folder / "cosines.png")
    seen = "; ".join(f"{name}, {genuine.mean():.2f} and {impostor.mean():.2f}" for name, genuine, impostor in panels)
    return Picture(file, _caption("cosines", len(x_id), spread.MOST), say("alt cosines", rows=seen))


def _cosines(x_id: np.ndarray) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Return (panel, genuine, impostor) cosines: of the rows asked for, then of the images by each network."""
    images = catalogue.audited().select(["embedding", "identity", "cosine"])
    plain = images.filter(images["embedding"].is_valid())
    row, identity = plain["embedding"].to_numpy(), np.empty(len(plain), np.int64)
    identity[row] = np.unique(plain["identity"].to_numpy(), return_inverse=True)[1]
    panels = [("asked for", plain["cosine"].to_numpy(), spread.impostor_cosines(x_id))]
    for name, label in (("recogniser", "rendered, recogniser"), ("judge", "rendered, judge")):
        x = artifacts.map_array(DATA / "judged" / f"{name}.npy")
        if len(x) != len(plain):
            allowed = f"{len(plain)}, as many as {catalogue.AUDITED} has"
            raise InputError(DATA / "judged" / f"{name}.npy", f"{len(x)} rows", allowed=allowed)
        panels.append((label, *spread.centre_cosines(Faces(x, identity))))
    return panels


def _course(inputs: Inputs, cfg: Pack) -> list[Picture]:
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
    alt = say("alt course", start=objective[0], least=objective.min(), iterations=int(iterations[-1]))
    return [Picture(packing_figures.course(iterations, objective, inputs.folder / "course.png"), caption, alt)]


def _front(inputs: Inputs, cfg: Pack) -> Picture:
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
    run = packing_figures.Run(name, np.array([pack["gallery_term"], pack["separation"]]), bound)
    file = packing_figures.front(ends, run, SEPARATION[cfg.separation], inputs.folder / "front.png")
    seen = "; ".join(f"alpha {alpha} at {x:.2f}, {y:.2f}" for alpha, (x, y) in ends.items())
    return Picture(file, caption, say("alt front", separation=SEPARATION[cfg.separation], rows=seen))


def _alpha(value: float) -> str:
    return f"{value:g}".removeprefix("0") or "0"
