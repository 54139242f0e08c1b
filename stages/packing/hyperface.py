"""Spread identities over the sphere while holding them near the gallery (HyperFace, arXiv 2411.08470).

It starts at gallery rows, `start: selected` or `random`. Before packing begins, crowded ones are exchanged for others:
on clustered galleries of four times as many rows, with 300 and 1,000 identities, that lowers the final J by 5 to 13 %,
and leaves little between the two starts. Without a gallery term packing starts from random directions.
"""

import sys

import numpy as np
import torch
from tqdm import tqdm

from stages.common import sphere
from stages.common.devices import device
from stages.common.streams import stream
from stages.metrics.bounds import lower_bound
from stages.packing import closed_forms, history, lowdim, median_norms
from stages.packing.checkpoint import Checkpoint
from stages.packing.distant_start import select
from stages.packing.random_start import parted, random_rows
from stages.packing.solver import Solver, State
from stages.settings.pack import Pack


def sample(x_ref: np.ndarray, norms: np.ndarray, cfg: Pack) -> tuple[np.ndarray, np.ndarray]:
    """Return packed unit rows (m, d) at the gallery's median norm, never worse than the start by the exact J.

    Few rows in few dimensions come from a search over the whole sphere (`lowdim`). J is never above that of a closed
    form and, where `lowdim` searches, never above that of the rows for alpha 0.
    """
    x = packed(x_ref, cfg)
    if lowdim.solves(*x.shape) and not (cfg.alpha == 0 and closed_forms.known(*x.shape)):
        x = lowdim.optimum(x_ref, cfg, x)
        history.record([])  # a search has no course
    return x, median_norms(norms, len(x))


def packed(x_ref: np.ndarray, cfg: Pack) -> np.ndarray:
    """Return unit rows (m, d) by the solver or, where that has a lower J, by a closed form."""
    m, d = cfg.identities, x_ref.shape[1]
    if cfg.alpha == 0 and closed_forms.known(m, d):
        return closed_forms.optimum(m, d, cfg.seed)
    return lowdim.least(x_ref, cfg, solve(*start(x_ref, cfg), x_ref, cfg))


def start(x_ref: np.ndarray, cfg: Pack) -> tuple[np.ndarray, np.ndarray]:
    """Return where packing starts, unit rows (m, d), and the gallery row (m,) that each is held to."""
    m, (n, d) = cfg.identities, x_ref.shape
    if cfg.alpha == 0:
        rng = stream("packing", cfg.seed)
        return sphere.unit_rows(rng.standard_normal((m, d), np.float32)), np.zeros(m, np.int64)
    row = select(x_ref, m, cfg.seed) if cfg.start == "selected" and m <= n else random_rows(n, m, cfg.seed)
    return parted(x_ref, row, cfg.seed), row


@torch.inference_mode()
def solve(x: np.ndarray, row: np.ndarray, x_ref: np.ndarray, cfg: Pack) -> np.ndarray:
    """Return x (m, d) after packing, row k held to gallery row row[k]; shows progress and keeps it across a crash."""
    solver = Solver(torch.from_numpy(x_ref).to(device()), torch.from_numpy(row).to(device()), cfg)
    checkpoint = Checkpoint(x, row, cfg)
    state = checkpoint.load(solver.exchange, device()) or solver.begin(torch.from_numpy(x).to(device()))
    # The gallery term is not below 0. For the mean over rows no bound is proven.
    goal = f", bound {lower_bound(*x.shape):.4f}" if cfg.separation == "closest" else ""
    with tqdm(desc="pack", total=cfg.iterations, initial=state.step, ncols=80, mininterval=1, delay=5, file=sys.stdout,
              disable=solver.exchange.rank > 0) as progress:  # fmt: skip

        def after_step(state: State) -> None:
            progress.set_postfix_str(f"J {state.best_value:.4f}{goal}", refresh=False)
            progress.update(state.step - progress.n)
            checkpoint.save_now_and_then(state, solver.exchange)

        best = solver.run(state, after_step)
    history.record(state.course)
    return best.cpu().numpy()
