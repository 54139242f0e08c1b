"""Choose mutually distant gallery rows to start from: of all choices in a packing, the one that moves J the most.

A row's energy is the sum of max(cos - FLOOR, 0)^2 over the rows picked so far. `select` is greedy: the gallery row of
least energy is picked next, PICKS from the CANDIDATES of least energy at a time, so that a pass over the gallery is one
product. Near-duplicates of a picked row come last. `exchange` betters any choice, random ones by far the most: the rows
of most energy leave for gallery rows of the least, PICKS at a time and fewer at the end, while the total falls.

Where rows are more than gallery rows, it counts by how many a gallery row and its nearest are shared, and not how
crowded their cluster is: the floor is higher, just below the cosine of a gallery row to its nearest. By FLOOR, five
tight clusters were left for gallery rows far away, and J ended 2 to 7 % higher than without any exchange.
"""

import numpy as np
import torch
from torch import Tensor

from stages.common.devices import device, products_dtype
from stages.packing.tiles import tiles

FLOOR = 0.1  # cosine below which two rows do not disturb each other
SHARED_FLOOR, BELOW = 0.55, 0.05  # the same where rows share gallery rows: at least, and below a gallery row's nearest
CANDIDATES, PICKS = 256, 64
LEAST_GAIN = 1e-4  # of the total energy: for less an exchange is not worth its products


def select(x_ref: np.ndarray, m: int, seed: int) -> np.ndarray:
    """Return the indices (m,) of distinct rows of the gallery x_ref (n, d), m <= n; the seed breaks ties."""
    fast = torch.from_numpy(x_ref).to(device()).to(products_dtype())
    tie = np.random.default_rng(seed).random(len(x_ref), np.float32) * 1e-6
    energy = torch.from_numpy(tie).to(device())  # infinite once picked
    picked: list[Tensor] = []
    for left in range(m, 0, -PICKS):
        found = _pick(fast, energy, min(PICKS, left), FLOOR)
        energy += _disturbance(fast, fast[found], FLOOR).sum(1)
        energy[found] = torch.inf
        picked.append(found)
    return torch.cat(picked).cpu().numpy()


def exchange(x_ref: Tensor, x: Tensor, row: Tensor) -> Tensor:
    """Return the gallery row (m,) of each row of x (m, d), which was `row` (m,), once the most crowded have moved.

    Those that move lie at rows of the gallery x_ref (n, d), which several may share if that disturbs least: m > n.
    """
    fast, now, row = x_ref.to(products_dtype()), x.to(products_dtype()), row.clone()
    floor = FLOOR if len(row) <= len(fast) else max(SHARED_FLOOR, _nearest(fast) - BELOW)
    there, here = _energies(fast, now, floor), _energies(now, now, floor) - _own(now, floor)  # (n,), (m,)
    total, count = float(here.double().sum()), min(PICKS, len(row) // 4, len(fast))
    most = -(-len(row) // len(fast))
    while count:
        leave = _pick(now, -here, count, floor)
        left = there - _disturbance(fast, now[leave], floor).sum(1)
        uses = torch.bincount(row, minlength=len(fast)) - torch.bincount(row[leave], minlength=len(fast))
        enter = _pick(fast, left.masked_fill(uses >= most, torch.inf), count, floor)
        after = left + _disturbance(fast, fast[enter], floor).sum(1)
        others = here - _disturbance(now, now[leave], floor).sum(1) + _disturbance(now, fast[enter], floor).sum(1)
        others[leave] = after[enter] - _own(fast[enter], floor)
        reached = float(others.double().sum())
        if reached < total * (1 - LEAST_GAIN):
            row[leave], now[leave], there, here, total = enter, fast[enter], after, others, reached
        else:
            count //= 2
    return row


def _nearest(fast: Tensor) -> float:
    """Return the median cosine of a gallery row to its nearest, over some of the rows (n, d)."""
    some = fast[:: -(-len(fast) // CANDIDATES)]
    return float((some @ fast.T).float().topk(min(2, len(fast)), dim=1).values[:, -1].median())


def _pick(rows: Tensor, energy: Tensor, count: int, floor: float) -> Tensor:
    """Return the indices (count,) of least energy (n,), one after the other, each adding to its neighbours' energy.

    Given negated energies these are the rows to take away, each of which its neighbours lose.
    """
    near = energy.topk(min(CANDIDATES, len(rows)), largest=False).indices
    mutual = _disturbance(rows[near], rows[near], floor).cpu()  # (candidates, candidates)
    energy, chosen = energy[near].cpu(), []
    for _ in range(count):
        chosen.append(int(energy.argmin()))
        energy += mutual[chosen[-1]]
        energy[chosen[-1]] = torch.inf
    return near[torch.tensor(chosen, device=near.device)]


def _energies(rows: Tensor, others: Tensor, floor: float) -> Tensor:
    """Return the energy (n,) of rows (n, d) among others (m, d), in tiles."""
    found = torch.zeros(len(rows), device=rows.device)
    for a in tiles(len(rows)):
        for b in tiles(len(others)):
            found[a] += _disturbance(rows[a], others[b], floor).sum(1)
    return found


def _own(rows: Tensor, floor: float) -> Tensor:
    """Return what rows (k, d) disturb themselves by, (k,)."""
    return rows.float().square().sum(1).sub_(floor).square_()


def _disturbance(a: Tensor, b: Tensor, floor: float) -> Tensor:
    return (a @ b.T).float().sub_(floor).relu_().square_()
