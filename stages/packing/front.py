"""What alpha trades on the run's own gallery: separation against nearness to it, by short packings over alpha.

A large run is represented by fewer identities beside as large a part of its gallery, so that the front takes seconds.
Fewer have more room: such a front shows what alpha does, and the run itself lies above it.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from stages.packing import hyperface
from stages.packing.objective import objective
from stages.settings.pack import Pack

ALPHAS = (0.0, 0.0625, 0.125, 0.25, 0.5, 1.0, 2.0)  # and the run's own
ROWS, ITERATIONS = 420, 200  # at most
FRONT_KEY = 4  # separates this draw from the sampler's


def front(x_id: np.ndarray, x_ref: np.ndarray, cfg: Pack) -> dict[str, Any]:
    """Return how many `identities` lie beside how much `gallery`, and `points` in order of alpha.

    A point has `alpha`, the cosine of the `closest` pair, the `mean` cosine to the nearest other row, `gallery_term`.
    The run's packing x_id (m, d) is its own point where hyperface made it and m <= ROWS. x_ref (n, d): its
    gallery; cfg: its settings. Under several ranks all of them call this.
    """
    m, whole = min(len(x_id), ROWS), len(x_id) <= ROWS
    if not whole:
        n = max(round(len(x_ref) * m / len(x_id)), 1)
        some = np.random.default_rng([cfg.seed, FRONT_KEY]).permutation(len(x_ref))[:n]
        x_ref = x_ref[some]
    points = []
    for alpha in sorted({*ALPHAS, cfg.alpha}):
        if whole and cfg.method == "hyperface" and alpha == cfg.alpha:
            x = x_id
        else:
            short = replace(cfg, identities=m, alpha=alpha, iterations=min(cfg.iterations, ITERATIONS))
            x = hyperface.packed(x_ref, short)
        found = objective(x, x_ref, alpha, cfg.separation)
        closest, mean = found.nearest.max(), found.nearest.mean()
        points.append({"alpha": alpha, "closest": closest, "mean": mean, "gallery_term": found.gallery_term})
    return {"identities": m, "gallery": len(x_ref), "points": points}
