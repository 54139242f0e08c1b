"""Place identities on the embedding sphere.

reads   data/embed/ x_ref (n, d), unit rows with native norms
writes  data/pack/ x_id (m, d), unit rows with native norms; for comparison x_normal (m, d), drawn from a Gaussian that
        is fitted to the gallery
        data/pack/course.json   [iterations, J] at the start and wherever J was computed; empty without iterations
        data/pack/front.json    separation and gallery term of short packings, for several alpha
        reports/pack.json       the objective and its terms, how close identities are to each other and to the gallery

From 2,048 rows on ranks share them: see stages/common/launch.py. A run that was killed resumes at its last checkpoint.
"""

from typing import Any

import numpy as np

from stages.common import artifacts, params, ranks, sphere, stage
from stages.common.errors import InputError
from stages.common.streams import stream
from stages.metrics.bounds import lower_bound
from stages.packing import checkpoint, fitted_gaussian, history, load, neighbours, tiles
from stages.packing.front import front
from stages.packing.neighbours import nearest_gallery
from stages.packing.objective import Objective, combine, nearest, objective
from stages.packing.random_start import parted, random_rows
from stages.settings.pack import Pack

SAME = 1e-5  # a row this near to cosine one with a gallery row is that row


def pack(x_ref: np.ndarray, cfg: Pack) -> np.ndarray:
    """Return packed unit rows x_id (m, d) float32 for gallery rows x_ref (n, d) of norm one."""
    return pack_with_norms(x_ref, np.ones(len(x_ref), np.float32), cfg)[0]


def pack_with_norms(x_ref: np.ndarray, norms: np.ndarray, cfg: Pack) -> tuple[np.ndarray, np.ndarray]:
    """Return packed unit rows (m, d) float32 and their native norms (m,), given the gallery's rows and norms.

    Raises ValueError when the gallery is not finite unit rows with a norm each, or m rows cannot be placed.
    """
    if cfg.identities < 2:
        raise InputError(None, key="pack.identities", value=cfg.identities, allowed="at least 2")
    x_ref = checked(x_ref, norms)
    return load(cfg.method).sample(x_ref, norms, cfg)


def checked(x_ref: np.ndarray, norms: np.ndarray) -> np.ndarray:
    """Return the gallery's rows as writable float32 (n, d); raises ValueError when they are not finite unit rows."""
    if x_ref.ndim != 2 or 0 in x_ref.shape:
        raise ValueError(f"x_ref has shape {x_ref.shape}; allowed: at least one gallery row (n, d)")
    if len(norms) != len(x_ref):
        raise ValueError(f"norms of {len(norms)} gallery rows; allowed: {len(x_ref)}, one for each row of x_ref")
    error = np.abs(np.linalg.norm(x_ref, axis=1) - 1)
    if not (error <= artifacts.UNIT_TOLERANCE).all():
        row = int(np.argmax(~(error <= artifacts.UNIT_TOLERANCE)))
        raise ValueError(
            f"x_ref: row {row} has length {np.linalg.norm(x_ref[row]):.4g}; allowed: 1 to {artifacts.UNIT_TOLERANCE}"
        )
    return np.require(x_ref, np.float32, ["C", "W"])


def report(x_id: np.ndarray, x_ref: np.ndarray, cfg: Pack) -> dict[str, Any]:
    """Return the figures of reports/pack.json; `start` has those of as many random gallery rows.

    `bound` is the least cosine that the closest pair can have, whatever the gallery; `gap_deg` is the angle by which
    the closest pair is closer than that; `crowded` is the share of identities whose neighbour is nearer than
    cfg.crowded_cosine. All ranks call this.
    """
    packed = objective(x_id, x_ref, cfg.alpha, cfg.separation)
    near_deg = sphere.angle_deg(packed.nearest)
    bound = lower_bound(*x_id.shape)
    return {
        "method": cfg.method,
        "identities": len(x_id),
        "gallery": len(x_ref),
        "embedding_size": x_id.shape[1],
        **_terms(packed),
        "bound": bound,
        "gap_deg": float(sphere.angle_deg(np.array(bound)) - near_deg.min()),
        "crowded": float((packed.nearest > cfg.crowded_cosine).mean()),
        "nearest_cosine": {**_quantiles(packed.nearest, 50, 95), "max": packed.nearest.max()},
        "nearest_deg": {"min": near_deg.min(), **_quantiles(near_deg, 5, 50)},
        "gallery_cosine": {**_quantiles(packed.gallery, 5), "min": packed.gallery.min()},
        "start": _terms(_at_random(x_ref, cfg)),
    }


def _at_random(x_ref: np.ndarray, cfg: Pack) -> Objective:
    """Return the objective of random gallery rows; that a row of the gallery has cosine one to it needs no search."""
    row = random_rows(len(x_ref), cfg.identities, cfg.seed)
    x = parted(x_ref, row, cfg.seed)
    if len(x) <= tiles.TILE:
        return objective(x, x_ref, cfg.alpha, cfg.separation)
    gallery = np.einsum("md,md->m", x, x_ref[row])
    moved = gallery < 1 - SAME
    gallery[moved] = nearest_gallery(x[moved], x_ref)[1]
    return combine(nearest(x), gallery, cfg.alpha, cfg.separation)


def _terms(j: Objective) -> dict[str, float]:
    return {"objective": j.value, "separation": j.separation, "gallery_term": j.gallery_term}


def _quantiles(x: np.ndarray, *percents: int) -> dict[str, float]:
    return {"mean": float(x.mean())} | {f"p{p}": float(np.percentile(x, p)) for p in percents}


def main() -> str:
    """Pack the gallery's embeddings."""
    cfg = params.load("pack", Pack)
    x_ref, norms = artifacts.read_rows("data/embed", "x_ref")
    neighbours.check(len(x_ref))
    with ranks.kept("pack") as folder, checkpoint.kept_in(folder):
        with history.recorded() as course:
            x_id, norms_id = pack_with_norms(x_ref, norms, cfg)
        trade_off, figures = front(x_id, x_ref, cfg), report(x_id, x_ref, cfg)
        if ranks.rank() > 0:
            return ""
        with artifacts.output_folder("data/pack") as fresh:
            artifacts.write_rows(fresh, "x_id", x_id, norms_id)
            drawn = fitted_gaussian.draw(
                fitted_gaussian.fit(x_ref, norms), len(x_id), stream("fitted gaussian", cfg.seed)
            )
            artifacts.write_rows(fresh, "x_normal", *drawn)
            artifacts.write_json(fresh / "course.json", course)
            artifacts.write_json(fresh / "front.json", trade_off)
        artifacts.write_json("reports/pack.json", figures)
    return f"pack: {len(x_id)} identities by {cfg.method}, objective {figures['objective']:.3f} -> data/pack"


if __name__ == "__main__":
    stage.run(main)
