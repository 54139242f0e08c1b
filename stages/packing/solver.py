"""Minimise HyperFace's objective with few products: a squared hinge on crowded pairs, heavy ball, a step per row.

The exact gradient of J moves a row away from its one nearest neighbour. At the optimum each row has some tens of
neighbours at nearly the same cosine, and a subgradient method spends its iterations on finding them one by one. Here
each row is pushed by all neighbours beyond a threshold t at once:

    minimise  sum over pairs of slope / 2 * max(cos - t, 0)^2  -  alpha * sum over k of cos(x_k, its gallery row).

Whatever J reads as, `closest` or `mean`, its optimality condition is that the pair weights slope * max(cos - t, 0) sum
to 2 a row; t follows that. The slope rises until pairs overlap t by only DEPTH, so that the surrogate's optimum nears
that of J. J, exact in float32, decides which iterate is kept and when to stop.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from stages.packing.exchange import Exchange
from stages.packing.objective import combine
from stages.packing.tiles import TILE, fast_dtype, nearest_other, tiles
from stages.settings.pack import Pack

ANNEAL = 75  # iterations in which the slope rises at d = 512; fewer dimensions crowd the rows and take longer
WINDOW = 25  # iterations between two exact values of J
FIRST_SLOPE = 0.05  # at least, for alpha near 0
DEPTH = 3e-4  # cosine by which pairs overlap the threshold once it has risen, on average
SHARPEN = {"closest": 1.01, "mean": 1.0}  # factor of the slope after that: the closest pair counts alone
MOMENTUM, STEP = 0.9, 0.7
REFRESH = 5  # iterations for which step sizes serve
PAD = 32  # extra columns of the fast rows, which keep products aligned: the first two carry the threshold
MASS = 2.0  # sum of a row's pair weights at the optimum
SAMPLE, QUANTILE = 256, 0.98  # of so many rows' cosines: where the threshold begins
T_GAIN, T_FALL, T_RISE = 0.3, 0.02, 0.004  # how fast the threshold follows


@dataclass
class State:
    """All that an iteration needs from the one before; row tensors hold this rank's rows."""

    x: Tensor  # (own, d) float32
    velocity: Tensor  # (own, d)
    rate: Tensor  # (own, 1) step of each row
    best: Tensor  # (own, d), the iterate of least J so far
    best_value: float
    threshold: float
    contacts: float = 1.0  # neighbours beyond the threshold, mean over the rows
    step: int = 0
    settled: bool = False


class Solver:
    """One packing problem: gallery rows x_ref (n, d), the gallery row that each of m rows is held to, settings."""

    def __init__(self, x_ref: Tensor, row: Tensor, cfg: Pack, step: float = STEP) -> None:
        """Share the rows over the ranks and set the buffers up; `step`: in units of 1 / each row's curvature."""
        self.x_ref, self.cfg, self.m, self.d, self.step = x_ref, cfg, len(row), x_ref.shape[1], step
        self.exchange = Exchange(self.m)
        self.row = row[self.exchange.own]
        self.weights = torch.empty(min(TILE, self.m), self.m, dtype=fast_dtype(self.m), device=x_ref.device)
        anneal = ANNEAL * max(512 / self.d, 1) ** 0.5 * (1 if cfg.alpha > 0 else 2)  # at alpha = 0 rows have far to go
        self.anneal = min(int(anneal), cfg.iterations)

    def begin(self, x: Tensor) -> State:
        """Return the state at the start x (m, d)."""
        own = x[self.exchange.own]
        some = x[:: -(-self.m // SAMPLE)]
        pairs = (some @ some.T)[torch.ones(len(some), len(some), dtype=torch.bool, device=x.device).tril(-1)]
        threshold = float(pairs.sort().values[int(QUANTILE * (len(pairs) - 1))])
        state = State(own.clone(), torch.zeros_like(own), own.new_ones(len(own), 1), own.clone(), np.inf, threshold)
        state.best_value = self.value(own)
        return state

    def value(self, own: Tensor) -> float:
        """Return J at this rank's rows and all others, each row held to its own gallery row: never below J."""
        x = self.exchange.rows(own)
        near = self.exchange.maximum(nearest_other(x, self.exchange.rank, self.exchange.size))
        gallery = self.exchange.rows((own * self.x_ref[self.row]).sum(1))
        return combine(near.cpu().numpy(), gallery.cpu().numpy(), self.cfg.alpha, self.cfg.separation).value

    def run(self, state: State, each: Callable[[State], None]) -> Tensor:
        """Iterate until J settles or the cap is reached, calling `each` after every iteration; returns x (m, d)."""
        fast = self.fast_rows(state.x)
        while state.step < self.cfg.iterations and not state.settled:
            fast = self.advance(state, fast)
            if state.step % WINDOW == 0 or state.step == self.cfg.iterations:
                self.judge(state)
            each(state)
        return self.exchange.rows(state.best)

    def judge(self, state: State) -> None:
        """Keep the iterate if it is the best by exact J; settle once a window has gained less than the tolerance."""
        value = self.value(state.x)
        gain = state.best_value - value
        if gain > 0:
            state.best, state.best_value = state.x.clone(), value
        state.settled = state.step > self.anneal and gain < self.cfg.tolerance

    def fast_rows(self, own: Tensor) -> Tensor:
        """Return all rows for fast products (m, d + PAD): [x, 1, 1, 0 ...]."""
        fast = own.new_zeros((len(own), self.d + PAD), dtype=self.weights.dtype)
        fast[:, : self.d] = own
        fast[:, self.d : self.d + 2] = 1
        return self.exchange.rows(fast)

    def slope(self, state: State) -> float:
        """Return the hinge's slope: geometric from alpha to where pairs overlap by DEPTH, then slowly on."""
        progress = min(state.step / max(self.anneal - 1, 1), 1)
        last = MASS / (max(state.contacts, 1) * DEPTH)
        last *= SHARPEN[self.cfg.separation] ** max(state.step - self.anneal, 0)
        return max(self.cfg.alpha, FIRST_SLOPE) ** (1 - progress) * last**progress

    def advance(self, state: State, fast: Tensor) -> Tensor:
        """Move every row once, all from the same positions `fast` (m, d + PAD); returns the new ones in their place."""
        slope = self.slope(state)
        sums = state.x.new_empty(len(state.x), 2)
        for tile in tiles(len(state.x)):
            sums[tile] = self.move(state, fast, tile, slope)
        weight, contacts = (float(total) / self.m for total in self.exchange.rows(sums).double().sum(0))
        if state.step % REFRESH == 0:
            state.contacts = contacts if state.step == 0 else (state.contacts + contacts) / 2
        rise = T_GAIN * (slope * weight - MASS) / (slope * max(state.contacts, 1))
        state.threshold += min(max(rise, -T_FALL), T_RISE)
        state.step += 1
        fast[self.exchange.own, : self.d] = state.x
        return self.exchange.rows(fast[self.exchange.own])

    def move(self, state: State, fast: Tensor, tile: slice, slope: float) -> Tensor:
        """Move the rows of one tile in place; returns each row's sum of max(cos - t, 0) and its contacts (tile, 2)."""
        begin = self.exchange.own.start + tile.start
        left = fast[begin : begin + tile.stop - tile.start].clone()
        left[:, self.d] = -state.threshold
        left[:, self.d + 1] = -state.threshold - left[:, self.d].float()  # what rounding left of it
        weights = torch.mm(left, fast.T, out=self.weights[: len(left)]).relu_()  # (tile, m) max(cos - t, 0)
        weights.diagonal(begin).zero_()
        pull = (weights @ fast).float()  # (tile, d + PAD)
        gradient, total = pull[:, : self.d], pull[:, self.d]
        contacts = torch.zeros_like(total)
        if state.step % REFRESH == 0:
            square = weights.norm(dim=1, dtype=torch.float32).square_().clamp_(min=1e-20)
            contacts = 4 / 3 * total.square() / square  # exact where overlaps are uniform, at most 4 / 3 of the count
            rayleigh = 2 * gradient.square().sum(1) / square  # large where the neighbours lie in one direction
            state.rate[tile, 0] = self.step / torch.maximum((1 + (contacts / self.d).sqrt()).square(), rayleigh)
        if self.cfg.alpha > 0:
            gradient.sub_(self.x_ref[self.row[tile]], alpha=self.cfg.alpha / slope)
        x, velocity = state.x[tile], state.velocity[tile]
        gradient.sub_((gradient * x).sum(1, keepdim=True) * x)
        velocity.mul_(MOMENTUM).sub_(gradient * state.rate[tile])
        x.copy_(normalize(x + velocity))
        velocity.sub_((velocity * x).sum(1, keepdim=True) * x)
        return torch.stack([total, contacts], 1)
