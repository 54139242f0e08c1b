"""Spread identities over the sphere while holding them near the gallery (HyperFace, arXiv 2411.08470).

Starts at gallery rows (`start: selected` or `random`) and holds every row to the one it started at: that is its nearest
gallery row throughout, or one so near that the final J does not tell them apart.
"""

import sys

import numpy as np
import torch
from tqdm import tqdm

from stages.packing import closed, lowdim, median_norms
from stages.packing.bounds import lower_bound
from stages.packing.checkpoint import Checkpoint
from stages.packing.select import select
from stages.packing.solver import Solver, State
from stages.packing.start import parted, random_rows
from stages.packing.tiles import device
from stages.settings.pack import Pack


def sample(x_ref: np.ndarray, norms: np.ndarray, cfg: Pack) -> tuple[np.ndarray, np.ndarray]:
    """Return packed unit rows (m, d) at the gallery's median norm, never worse than the start by the exact J.

    Without a gallery term proven optima, or a search over the whole sphere, take the place of a start in the gallery.
    """
    m, (n, d) = cfg.identities, x_ref.shape
    if cfg.alpha == 0 and closed.known(m, d):
        x = closed.optimum(m, d, cfg.seed)
    elif cfg.alpha == 0 and cfg.separation == "closest" and lowdim.solves(m, d):
        x = lowdim.optimum(m, d, cfg.seed)
    else:
        selected = cfg.start == "selected" and m <= n
        row = select(x_ref, m, cfg.seed) if selected else random_rows(n, m, cfg.seed)
        x = solve(parted(x_ref, row, cfg.seed), row, x_ref, cfg)
    return x, median_norms(norms, m)


@torch.inference_mode()
def solve(x: np.ndarray, row: np.ndarray, x_ref: np.ndarray, cfg: Pack) -> np.ndarray:
    """Return x (m, d) after packing, row k held to gallery row row[k]; shows progress and keeps it across a crash."""
    solver = Solver(torch.from_numpy(x_ref).to(device()), torch.from_numpy(row).to(device()), cfg)
    keep = Checkpoint(x, row, cfg)
    state = keep.load(solver.exchange, device()) or solver.begin(torch.from_numpy(x).to(device()))
    # The gallery term is not below 0. For the mean over rows no bound is proven.
    goal = f", bound {lower_bound(*x.shape):.4f}" if cfg.separation == "closest" else ""
    with tqdm(desc="pack", total=cfg.iterations, initial=state.step, ncols=80, mininterval=1, delay=5, file=sys.stdout,
              disable=solver.exchange.rank > 0) as shown:  # fmt: skip

        def each(state: State) -> None:
            shown.set_postfix_str(f"J {state.best_value:.4f}{goal}", refresh=False)
            shown.update(state.step - shown.n)
            keep.save_now_and_then(state, solver.exchange)

        best = solver.run(state, each)
    return best.cpu().numpy()
