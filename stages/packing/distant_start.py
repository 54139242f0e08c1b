"""Choose mutually distant gallery rows to start from: no other choice in a packing moves J as much.

A row's energy is the sum of max(cos - FLOOR, 0)^2 over the rows picked so far. `select` is greedy: it picks the gallery
row of least energy next. It picks PICKS rows at a time from the CANDIDATES of least energy, so that a pass over the
gallery is one product. Near-duplicates of a picked row come last. `exchange` improves any choice, random ones by far
the most: the rows of most energy are replaced by gallery rows of least energy, as long as the total falls, PICKS at a
time and fewer at the end.

Where there are more rows than gallery rows, some gallery rows must serve several rows. What counts then is how many
rows share a gallery row and its nearest neighbour, not how crowded a cluster is, so the floor is higher: just below the
cosine of a gallery row to its nearest. With FLOOR, rows left five tight clusters for gallery rows far away, and J ended
2 to 7 % higher than without any exchange.
"""

import numpy as np
import torch
from torch import Tensor

from stages.common.devices import device, products_dtype
from stages.common.streams import stream
from stages.packing.tiles import tiles

FLOOR = 0.1  # cosine below which two rows do not disturb each other
SHARED_FLOOR, BELOW = 0.55, 0.05  # the floor where rows share gallery rows: its least, and how far below the nearest
CANDIDATES, PICKS = 256, 64
LEAST_GAIN = 1e-4  # share of the total energy; an exchange that gains less is not worth its products


def select(x_ref: np.ndarray, m: int, seed: int) -> np.ndarray:
    """Return the indices (m,) of distinct rows of the gallery x_ref (n, d), m <= n; the seed breaks ties."""
    fast = torch.from_numpy(x_ref).to(device()).to(products_dtype())
    tie = stream("packing", seed).random(len(x_ref), np.float32) * 1e-6
    energy = torch.from_numpy(tie).to(device())  # infinite once picked
    picked: list[Tensor] = []
    for left in range(m, 0, -PICKS):
        batch = _pick(fast, energy, min(PICKS, left), FLOOR)
        energy += _disturbance(fast, fast[batch], FLOOR).sum(1)
        energy[batch] = torch.inf
        picked.append(batch)
    return torch.cat(picked).cpu().numpy()


def exchange(x_ref: Tensor, x: Tensor, row: Tensor) -> Tensor:
    """Return the gallery row (m,) of each row of x (m, d), until now `row` (m,), after the most crowded have moved.

    Those that move go to rows of the gallery x_ref (n, d). Several share one only where m > n.
    """
    fast, fast_x, row = x_ref.to(products_dtype()), x.to(products_dtype()), row.clone()
    floor = FLOOR if len(row) <= len(fast) else max(SHARED_FLOOR, _nearest(fast) - BELOW)
    gallery_energy = _energies(fast, fast_x, floor)  # (n,)
    energy = _energies(fast_x, fast_x, floor) - _self_disturbance(fast_x, floor)  # (m,)
    total, count = float(energy.double().sum()), min(PICKS, len(row) // 4, len(fast))
    most_uses = -(-len(row) // len(fast))
    while count and total > 0:  # where nobody is crowded, rounding leaves less than nothing
        leave = _pick(fast_x, -energy, count, floor)
        without = gallery_energy - _disturbance(fast, fast_x[leave], floor).sum(1)
        uses = torch.bincount(row, minlength=len(fast)) - torch.bincount(row[leave], minlength=len(fast))
        enter = _pick(fast, without.masked_fill(uses >= most_uses, torch.inf), count, floor)
        new_gallery_energy = without + _disturbance(fast, fast[enter], floor).sum(1)
        new_energy = energy - _disturbance(fast_x, fast_x[leave], floor).sum(1)
        new_energy += _disturbance(fast_x, fast[enter], floor).sum(1)
        new_energy[leave] = new_gallery_energy[enter] - _self_disturbance(fast[enter], floor)
        new_total = float(new_energy.double().sum())
        if new_total < total * (1 - LEAST_GAIN):
            row[leave], fast_x[leave] = enter, fast[enter]
            gallery_energy, energy, total = new_gallery_energy, new_energy, new_total
        else:
            count //= 2
    return row


def _nearest(fast: Tensor) -> float:
    """Return the median cosine of a gallery row to its nearest, over a sample of the rows (n, d)."""
    sample = fast[:: -(-len(fast) // CANDIDATES)]
    return float((sample @ fast.T).float().topk(min(2, len(fast)), dim=1).values[:, -1].median())


def _pick(rows: Tensor, energy: Tensor, count: int, floor: float) -> Tensor:
    """Return the indices (count,) of least energy (n,), one after the other, each adding to its neighbours' energy.

    With negated energies these are the rows to take away, and each one's neighbours lose its part.
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
    energy = torch.zeros(len(rows), device=rows.device)
    for a in tiles(len(rows)):
        for b in tiles(len(others)):
            energy[a] += _disturbance(rows[a], others[b], floor).sum(1)
    return energy


def _self_disturbance(rows: Tensor, floor: float) -> Tensor:
    """Return the part (k,) of the energy of rows (k, d) that each has by itself."""
    return rows.float().square().sum(1).sub_(floor).square_()


def _disturbance(a: Tensor, b: Tensor, floor: float) -> Tensor:
    return (a @ b.T).float().sub_(floor).relu_().square_()
