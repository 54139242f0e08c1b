"""Minimise HyperFace's objective with few products: a squared hinge on crowded pairs, heavy ball, a step per row.

The exact gradient of J moves a row away from its one nearest neighbour. At the optimum each row has some tens of
neighbours at nearly the same cosine, and a subgradient method spends its iterations on finding them one by one. Here
each row is pushed by all neighbours beyond a threshold t at once:

    minimise  sum over pairs of slope / 2 * max(cos - t, 0)^2  -  alpha * sum over k of cos(x_k, its gallery row).

Whatever J reads as, `closest` or `mean`, its optimality condition is that the pair weights slope * max(cos - t, 0) sum
to 2 a row; t follows that. The slope rises until pairs overlap t by next to nothing, so that the surrogate's optimum
nears that of J: by a steady factor an iteration, for rows that lag behind it end in a worse place. J, exact in float32,
decides which iterate is kept and when to stop.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from stages.packing.exchange import Exchange
from stages.packing.objective import combine
from stages.packing.products import Products
from stages.packing.tiles import nearest_other, tiles
from stages.settings.pack import Pack

ANNEAL = 100  # iterations in which the slope rises at d = 512; fewer dimensions crowd the rows and take longer
WINDOW = 25  # iterations between two exact values of J
FIRST_SLOPE = 0.05  # at least, for alpha near 0
DEPTH = 3e-5  # cosine by which pairs overlap the threshold once it has risen, on average
HASTE = 1.5  # the slope rises as many times as fast, at most, where a cap leaves few iterations, and ends lower
SHARPEN, LEAST_DEPTH = 1.03, 1e-5  # factor of the slope in every later iteration, and where that ends
PRECISE_FROM = 0.7  # of the rise: until then rounding to bfloat16 is small beside the overlaps
MOMENTUM, STEP = 0.85, 0.7  # 0.9 takes fewer iterations to spread rows, and cannot follow the slope at the end
REFRESH = 5  # iterations for which step sizes serve
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
        self.products = Products(self.m, self.d, self.exchange, x_ref.device)
        anneal = ANNEAL * max(512 / self.d, 1) ** 0.5
        doubled = anneal * (1 if cfg.alpha > 0 else 2)  # without a gallery to hold them rows have far to go
        self.anneal = min(int(doubled), cfg.iterations)
        self.rise = min(HASTE * self.anneal / anneal, 1)  # part of the way up that there is time for

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
        while state.step < self.cfg.iterations and not state.settled:
            self.advance(state)
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

    def slope(self, state: State) -> float:
        """Return the hinge's slope: geometric from alpha to where pairs overlap by DEPTH, then more slowly on."""
        progress = min(state.step / max(self.anneal - 1, 1), 1)
        last = MASS / (max(state.contacts, 1) * DEPTH)
        last *= min(SHARPEN ** max(state.step - self.anneal, 0), DEPTH / LEAST_DEPTH)
        first = max(self.cfg.alpha, FIRST_SLOPE)
        return first * (last / first) ** (progress * self.rise)

    def advance(self, state: State) -> None:
        """Move every row once, all from the same positions."""
        slope = self.slope(state)
        self.products.put(state.x, precise=state.step >= PRECISE_FROM * self.anneal)
        sums = state.x.new_empty(len(state.x), 2)
        for tile in tiles(len(state.x)):
            sums[tile] = self.move(state, tile, slope)
        weight, contacts = (float(total) / self.m for total in self.exchange.rows(sums).double().sum(0))
        if state.step % REFRESH == 0:
            state.contacts = contacts if state.step == 0 else (state.contacts + contacts) / 2
        rise = T_GAIN * (slope * weight - MASS) / (slope * max(state.contacts, 1))
        state.threshold += min(max(rise, -T_FALL), T_RISE)
        state.step += 1

    def move(self, state: State, tile: slice, slope: float) -> Tensor:
        """Move the rows of one tile in place; returns each row's sum of max(cos - t, 0) and its contacts (tile, 2)."""
        first = self.exchange.own.start
        weights = self.products.above(slice(first + tile.start, first + tile.stop), state.threshold)
        gradient, total = self.products.pull(weights)
        contacts = torch.zeros_like(total)
        if state.step % REFRESH == 0:
            square = weights.norm(dim=1, dtype=torch.float32).square_().clamp_(min=1e-20)
            contacts = 4 / 3 * total.square() / square  # exact where overlaps are uniform, at most 4 / 3 of the count
            rayleigh = 2 * gradient.square().sum(1) / square  # large where the neighbours lie in one direction
            state.rate[tile, 0] = self.step / torch.maximum((1 + (contacts / self.d).sqrt()).square(), rayleigh)
        if self.cfg.alpha > 0:
            gradient.sub_(self.x_ref[self.row[tile]], alpha=self.cfg.alpha / slope)
        x, velocity = state.x[tile], state.velocity[tile]
        gradient.addcmul_((gradient * x).sum(1, keepdim=True), x, value=-1)
        velocity.mul_(MOMENTUM).addcmul_(gradient, state.rate[tile], value=-1)
        x.copy_(normalize(x + velocity))
        velocity.addcmul_((velocity * x).sum(1, keepdim=True), x, value=-1)
        return torch.stack([total, contacts], 1)
