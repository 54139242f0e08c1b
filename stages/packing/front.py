"""What alpha trades on the run's own gallery: separation against nearness to it, by short packings over alpha.

For a large run, fewer identities stand beside an equal share of its gallery, so that the front takes seconds. Fewer
identities have more room: such a front shows what alpha does, and the run itself lies above it.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from stages.common.streams import stream
from stages.packing import hyperface
from stages.packing.objective import objective
from stages.settings.pack import Pack

ALPHAS = (0.0, 0.0625, 0.125, 0.25, 0.5, 1.0, 2.0)  # beside the run's own alpha
ROWS, ITERATIONS = 420, 200  # at most


def front(x_id: np.ndarray, x_ref: np.ndarray, cfg: Pack) -> dict[str, Any]:
    """Return the number of `identities` and of `gallery` rows, and `points` in order of alpha.

    A point has `alpha`, the cosine of the `closest` pair, the `mean` cosine to the nearest other row, `gallery_term`.
    x_id (m, d) is the run's packing, x_ref (n, d) its gallery, cfg its settings. Where hyperface made x_id and
    m <= ROWS, it is the point of its alpha. Under several ranks all of them call this.
    """
    m, small = min(len(x_id), ROWS), len(x_id) <= ROWS
    if not small:
        n = max(round(len(x_ref) * m / len(x_id)), 1)
        x_ref = x_ref[stream("front", cfg.seed).permutation(len(x_ref))[:n]]
    points = []
    for alpha in sorted({*ALPHAS, cfg.alpha}):
        if small and cfg.method == "hyperface" and alpha == cfg.alpha:
            x = x_id
        else:
            short = replace(cfg, identities=m, alpha=alpha, iterations=min(cfg.iterations, ITERATIONS))
            x = hyperface.packed(x_ref, short)
        terms = objective(x, x_ref, alpha, cfg.separation)
        closest, mean = terms.nearest.max(), terms.nearest.mean()
        points.append({"alpha": alpha, "closest": closest, "mean": mean, "gallery_term": terms.gallery_term})
    return {"identities": m, "gallery": len(x_ref), "points": points}
