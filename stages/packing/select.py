"""Choose mutually distant gallery rows to start from: of all choices in a packing, the one that moves J the most.

A row's energy is the sum of max(cos - FLOOR, 0)^2 over the rows picked so far. `select` is greedy: the gallery row of
least energy is picked next, PICKS from the CANDIDATES of least energy at a time, so that a pass over the gallery is one
product. Near-duplicates of a picked row come last. `exchange` betters any choice, random ones by far the most: the rows
of most energy leave for gallery rows of the least, PICKS at a time and fewer at the end, while the total falls.
"""

import numpy as np
import torch
from torch import Tensor

from stages.packing.tiles import device, fast_dtype, tiles

FLOOR = 0.1  # cosine below which two rows do not disturb each other
CANDIDATES, PICKS = 256, 64
LEAST_GAIN = 1e-4  # of the total energy: for less an exchange is not worth its products


def select(x_ref: np.ndarray, m: int, seed: int) -> np.ndarray:
    """Return the indices (m,) of distinct rows of the gallery x_ref (n, d), m <= n; the seed breaks ties."""
    fast = torch.from_numpy(x_ref).to(device()).to(fast_dtype())
    tie = np.random.default_rng(seed).random(len(x_ref), np.float32) * 1e-6
    energy = torch.from_numpy(tie).to(device())  # infinite once picked
    picked: list[Tensor] = []
    for left in range(m, 0, -PICKS):
        found = _pick(fast, energy, min(PICKS, left))
        energy += _disturbance(fast, fast[found]).sum(1)
        energy[found] = torch.inf
        picked.append(found)
    return torch.cat(picked).cpu().numpy()


def exchange(x_ref: Tensor, x: Tensor, row: Tensor) -> Tensor:
    """Return the gallery row (m,) of each row of x (m, d), which was `row` (m,), once the most crowded have moved.

    Those that move lie at rows of the gallery x_ref (n, d), which several may share if that disturbs least: m > n.
    """
    fast, now, row = x_ref.to(fast_dtype()), x.to(fast_dtype()), row.clone()
    there, here = _energies(fast, now), _energies(now, now) - _own(now)  # of gallery rows (n,), of the rows (m,)
    total, count = float(here.double().sum()), min(PICKS, len(row) // 4, len(fast))
    most = -(-len(row) // len(fast))
    while count:
        leave = _pick(now, -here, count)
        left = there - _disturbance(fast, now[leave]).sum(1)
        uses = torch.bincount(row, minlength=len(fast)) - torch.bincount(row[leave], minlength=len(fast))
        enter = _pick(fast, left.masked_fill(uses >= most, torch.inf), count)
        after = left + _disturbance(fast, fast[enter]).sum(1)
        others = here - _disturbance(now, now[leave]).sum(1) + _disturbance(now, fast[enter]).sum(1)
        others[leave] = after[enter] - _own(fast[enter])
        reached = float(others.double().sum())
        if reached < total * (1 - LEAST_GAIN):
            row[leave], now[leave], there, here, total = enter, fast[enter], after, others, reached
        else:
            count //= 2
    return row


def _pick(rows: Tensor, energy: Tensor, count: int) -> Tensor:
    """Return the indices (count,) of least energy (n,), one after the other, each adding to its neighbours' energy.

    Given negated energies these are the rows to take away, each of which its neighbours lose.
    """
    near = energy.topk(min(CANDIDATES, len(rows)), largest=False).indices
    mutual = _disturbance(rows[near], rows[near]).cpu()  # (candidates, candidates)
    energy, chosen = energy[near].cpu(), []
    for _ in range(count):
        chosen.append(int(energy.argmin()))
        energy += mutual[chosen[-1]]
        energy[chosen[-1]] = torch.inf
    return near[torch.tensor(chosen, device=near.device)]


def _energies(rows: Tensor, others: Tensor) -> Tensor:
    """Return the energy (n,) of rows (n, d) among others (m, d), in tiles."""
    found = torch.zeros(len(rows), device=rows.device)
    for a in tiles(len(rows)):
        for b in tiles(len(others)):
            found[a] += _disturbance(rows[a], others[b]).sum(1)
    return found


def _own(rows: Tensor) -> Tensor:
    """Return what rows (k, d) disturb themselves by, (k,)."""
    return rows.float().square().sum(1).sub_(FLOOR).square_()


def _disturbance(a: Tensor, b: Tensor) -> Tensor:
    return (a @ b.T).float().sub_(FLOOR).relu_().square_()
