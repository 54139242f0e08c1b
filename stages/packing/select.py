"""Choose mutually distant gallery rows to start from: of all choices in a packing, the one that moves J the most.

Greedy on an energy: a row's energy is the sum of max(cos - FLOOR, 0)^2 over the rows picked so far. The row of least
energy is picked next, PICKS from the CANDIDATES of least energy at a time, so that a pass over the gallery is one
product. Near-duplicates of a picked row come last.
"""

import numpy as np
import torch
from torch import Tensor

from stages.packing.tiles import device, fast_dtype

FLOOR = 0.1  # cosine below which two rows do not disturb each other
CANDIDATES, PICKS = 256, 64


def select(x_ref: np.ndarray, m: int, seed: int) -> np.ndarray:
    """Return the indices (m,) of distinct rows of the gallery x_ref (n, d), m <= n; the seed breaks ties."""
    fast = torch.from_numpy(x_ref).to(device()).to(fast_dtype())
    tie = np.random.default_rng(seed).random(len(x_ref), np.float32) * 1e-6
    energy = torch.from_numpy(tie).to(device())  # infinite once picked
    picked: list[Tensor] = []
    for left in range(m, 0, -PICKS):
        near = energy.topk(min(CANDIDATES, len(fast)), largest=False).indices
        found = near[_pick(fast[near], energy[near], min(PICKS, left))]
        energy += _disturbance(fast, fast[found]).sum(1)
        energy[found] = torch.inf
        picked.append(found)
    return torch.cat(picked).cpu().numpy()


def _pick(fast: Tensor, energy: Tensor, count: int) -> Tensor:
    mutual = _disturbance(fast, fast).cpu()  # (candidates, candidates)
    energy, chosen = energy.cpu().clone(), []
    for _ in range(count):
        chosen.append(int(energy.argmin()))
        energy += mutual[chosen[-1]]
        energy[chosen[-1]] = torch.inf
    return torch.tensor(chosen, device=fast.device)


def _disturbance(a: Tensor, b: Tensor) -> Tensor:
    return (a @ b.T).float().sub_(FLOOR).relu_().square_()
