"""Minimise HyperFace's objective with few products: a squared hinge on crowded pairs, heavy ball, a step per row.

The exact gradient of J moves a row away from its nearest neighbour alone. At the optimum each row has some tens of
neighbours at nearly the same cosine, and a subgradient method spends its iterations on finding them one by one. Here
all neighbours beyond a threshold t push a row at once:

    minimise  sum over pairs of slope / 2 * max(cos - t, 0)^2  -  alpha * sum over k of cos(x_k, its gallery row).

Whether J reads as `closest` or `mean`, its optimality condition is that the pair weights slope * max(cos - t, 0) sum to
2 a row, and t follows that. (For `mean` t may differ between rows. One for each was tried: it gains less than .001
of J, costs more, and lets close pairs freeze from the start, each being all the contact that the other needs.)

The slope rises until pairs hardly overlap t, so that the surrogate's optimum comes near that of J. With a gallery it
rises as fast as the rows follow. The force left on a row says how far it lags behind the optimum of the present slope,
and rows that lag too far end in a worse place. That is decided while overlaps are large; later the slope may go ahead.
A smaller tolerance asks for further rounds, each from the first slope again and with half the lag. Where the cap on
iterations leaves no time, the slope rises as fast as the cap demands.

Without a gallery forces are never large: there the slope rises by the clock, slowly at first, and rows come in orbits
(`orbits`). J, exact in float32, decides which iterate is returned and when to stop.

A row's step grows slowly, and its move has a limit. Otherwise, where rows lie in few directions, a row that has just
lost its neighbours would leap, and so would the rows that it hits.

A row is held to the gallery row that it starts at. Before the first iteration the most crowded rows move to other
gallery rows (`distant_start.exchange`). After 25, 50, 100 ... iterations each row is held to its nearest gallery row.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from stages.common.devices import products_dtype
from stages.packing import orbits
from stages.packing.collectives import Exchange
from stages.packing.distant_start import exchange
from stages.packing.history import Course
from stages.packing.objective import combine
from stages.packing.operands import Products
from stages.packing.random_start import parted
from stages.packing.tiles import nearest_among, nearest_other, nearest_row, tiles
from stages.settings.pack import Pack

FIRST_SLOPE, TAME = 0.1, 13.0  # the first slope is at least this; without a gallery at least TAME * sqrt(d) / m, too
RISE, SLOWEST, FASTEST = 0.25, 0.01, 0.08  # of log(slope) in an iteration: without lag, at full lag, near the cap
CLOCK, EASE, CONTACTS = 300, 2.5, 1.5  # without a gallery: iterations of the rise, its power, contacts at its end / d
TOLERANCE = 2e-4  # of J, for which LAG and DEPTH are meant
LAG, DEPTH = 0.05, 2e-5  # force left on a row, of 2, at which the slope waits; overlap in cosine at which the rise ends
SHORT = 0.2  # counts as lag: this share of what pair weights lack to MASS, while the threshold is still falling
EARLY = 7e-3  # overlap (at alpha .5 or more) below which rows are arranged: step sizes then serve REFRESH iterations
LATE = 4.0  # and the slope waits at so many times the lag
LEAST_LAG, LEAST_DEPTH, MOST_DEPTH = 0.01, 5e-6, 1e-4
PRECISE = 0.07  # over sqrt(d): the overlap below which rounding to bfloat16 is too coarse
WINDOW = 10  # iterations between two exact values of J
ROUND = 50  # iterations that must be left for a further round
MOMENTUM, STEP = 0.9, 1.0
FREE_MOMENTUM, FREE_STEP = 0.95, 1.2  # without a gallery
REFRESH = 5  # iterations for which step sizes serve, once overlaps are small
GROWTH, FARTHEST = 1.1, 0.05  # at most: a row's step over the one before, and its move in an iteration
NEAREST = 25  # iterations after which rows are held to their nearest gallery row; again after 50, 100 and so on
MASS = 2.0  # sum of a row's pair weights at the optimum
SAMPLE = 256  # rows whose cosines say where the threshold begins
T_GAIN, T_FALL, T_RISE = 0.3, 0.02, 0.004  # of the threshold in an iteration: gain, largest fall, largest rise


@dataclass
class State:
    """All that an iteration needs from the one before; row tensors hold this rank's rows."""

    x: Tensor  # (own, d) float32
    row: Tensor  # (own,) the gallery row that each is held to
    velocity: Tensor  # (own, d)
    rate: Tensor  # (own, 1) step of each row
    best: Tensor  # (own, d), the iterate of least J so far
    best_value: float
    threshold: float
    slope: float
    lag: float  # force left on a row at which the slope waits
    contacts: float = 1.0  # neighbours beyond the threshold, mean over the rows
    step: int = 0
    began: int = 0  # the step at which this round began
    settled: bool = False
    course: Course = field(default_factory=list)

    def depth(self) -> float:
        """Return the cosine by which pairs overlap the threshold, on average, where weights sum to MASS."""
        return MASS / (max(self.contacts, 1) * self.slope)


class Solver:
    """One packing problem: gallery rows x_ref (n, d), the gallery row that each of m rows starts at, settings."""

    def __init__(self, x_ref: Tensor, row: Tensor, cfg: Pack) -> None:
        """Share the rows over the ranks and set the buffers up."""
        self.x_ref, self.row, self.cfg = x_ref, row, cfg
        self.m, self.d, self.held = len(row), x_ref.shape[1], cfg.alpha > 0
        self.orbit = 1 if self.held else orbits.size(self.m, self.d)
        self.rows = -(-self.m // self.orbit)  # that stand for all
        self.exchange = Exchange(self.rows)
        self.products = Products(self.rows, self.orbit, self.d, self.exchange, x_ref.device)
        self.fast_ref = x_ref.to(products_dtype()) if self.held else x_ref
        self.first = max(cfg.alpha, FIRST_SLOPE, 0 if self.held else TAME * self.d**0.5 / self.m)
        patience = cfg.tolerance / TOLERANCE
        self.most_lag = LAG * max(cfg.alpha, 1)  # the gallery pulls by alpha
        self.lag = max(self.most_lag * min(patience, 1) ** 0.5, LEAST_LAG)
        self.depth = min(max(DEPTH * patience, LEAST_DEPTH), MOST_DEPTH)
        self.early = EARLY * (min(2 * cfg.alpha, 1) if self.held else 1)  # a lower J asks for finer steps
        self.clock = CLOCK * LAG / self.lag
        self.momentum, self.step = (MOMENTUM, STEP) if self.held else (FREE_MOMENTUM, FREE_STEP)

    def begin(self, x: Tensor) -> State:
        """Return the state at the start x (m, d), once crowded rows have moved; J of what is kept never exceeds x's."""
        own, row = self.exchange.own, self.row[: self.rows]
        x = x[: self.rows]
        state = State(
            x[own].clone(), row[own], torch.zeros_like(x[own]), x.new_ones(len(x[own]), 1), x[own].clone(), math.inf,
            self.opening(x), self.first, max(self.most_lag, self.lag),
        )  # fmt: skip
        self.judge(state)
        row = exchange(self.x_ref, x, row) if self.held else row
        if not torch.equal(row, self.row[: self.rows]):
            x = torch.from_numpy(parted(self.x_ref.cpu().numpy(), row.cpu().numpy(), self.cfg.seed)).to(x.device)
            state.x, state.row, state.threshold = x[own].clone(), row[own], self.opening(x)
            self.judge(state)
        return state

    def opening(self, x: Tensor) -> float:
        """Return the threshold at which weights among the rows x (r, d) sum to MASS at the first slope, by a sample."""
        x = orbits.expanded(x, self.orbit)
        sample = x[:: -(-len(x) // SAMPLE)]
        pairs = (sample @ sample.T)[torch.ones(len(sample), len(sample), dtype=torch.bool, device=x.device).tril(-1)]
        cosine = pairs.double().sort(descending=True).values
        beyond = torch.arange(1, len(cosine) + 1, dtype=torch.double, device=x.device)
        total = cosine.cumsum(0) - cosine * beyond  # of max(cos - t, 0), with t at each cosine in turn
        needed = MASS / self.first * len(cosine) / max(self.m - 1, 1)
        return float(cosine[min(int(torch.searchsorted(total, total.new_tensor(needed))), len(cosine) - 1)])

    def value(self, own: Tensor, row: Tensor) -> float:
        """Return J at this rank's rows and all others, each held to its own gallery row: never below J."""
        x = self.exchange.rows(own)
        if self.orbit == 1:
            near = self.exchange.maximum(nearest_other(x, self.exchange.rank, self.exchange.size))
        else:
            all_rows = orbits.expanded(x, self.orbit)
            near = self.exchange.rows(nearest_among(own, all_rows, self.exchange.own.start))
        gallery = self.exchange.rows((own * self.x_ref[row]).sum(1))
        return combine(near.cpu().numpy(), gallery.cpu().numpy(), self.cfg.alpha, self.cfg.separation).value

    def run(self, state: State, after_step: Callable[[State], None]) -> Tensor:
        """Iterate until J settles or the cap is reached, calling `after_step` each time; returns x (m, d)."""
        while state.step < self.cfg.iterations and not state.settled:
            self.advance(state)
            if state.step % WINDOW == 0 or state.step == self.cfg.iterations:
                self.judge(state)
            after_step(state)
        return orbits.expanded(self.exchange.rows(state.best), self.orbit)[: self.m]

    def judge(self, state: State) -> None:
        """Keep the iterate if its exact J is the least so far; end the round once the slope has risen and J settles.

        It has settled when a window gains no more than the tolerance.
        """
        value = self.value(state.x, state.row)
        state.course.append((state.step, value))
        gain = state.best_value - value
        if gain > 0:
            state.best, state.best_value = state.x.clone(), value
        if state.step > 0 and state.depth() <= self.depth * 1.01 and gain <= self.cfg.tolerance:
            self.end_round(state)

    def end_round(self, state: State) -> None:
        """Settle or, where the tolerance asks for less lag and time is left, begin again at the first slope."""
        state.settled = not self.held or state.lag <= self.lag or self.cfg.iterations - state.step < ROUND
        if not state.settled:
            state.lag, state.slope, state.contacts, state.began = state.lag / 2, self.first, 1.0, state.step
            state.threshold = self.opening(self.exchange.rows(state.x))
            state.velocity.zero_()

    def advance(self, state: State) -> None:
        """Move every row once, all from the same positions."""
        if self.held and state.step in NEAREST << np.arange(30):
            state.row = nearest_row(state.x.to(self.fast_ref.dtype), self.fast_ref)
        self.products.put(state.x, precise=state.depth() <= PRECISE / self.d**0.5 * LAG / state.lag)
        fresh = state.step % REFRESH == 0 or state.depth() > self.early
        sums = state.x.new_empty(len(state.x), 3)
        for tile in tiles(len(state.x)):
            sums[tile] = self.move(state, tile, fresh)
        weight, contacts, force = (float(total) / self.rows for total in self.exchange.rows(sums).double().sum(0))
        if fresh:
            state.contacts = contacts if state.step == state.began else (state.contacts + contacts) / 2
        rise = T_GAIN * (state.slope * weight - MASS) / (state.slope * max(state.contacts, 1))
        state.threshold += min(max(rise, -T_FALL), T_RISE)
        lacking = SHORT * (MASS - state.slope * weight)
        state.slope *= self.rise(state, max(state.slope * force, lacking)) if self.held else self.clocked(state)
        state.step += 1

    def rise(self, state: State, force: float) -> float:
        """Return the factor of the slope for the force that is left on a row: near 1 where rows lag.

        The cap may demand a larger one, until the slope has risen to its end.
        """
        remaining = math.log(max(state.depth() / self.depth, 1))
        lag = state.lag if state.depth() > self.early else LATE * state.lag
        follows = max(RISE * (1 - force / lag), SLOWEST * lag / LAG)
        demanded = min(remaining / max(self.cfg.iterations - state.step - WINDOW, 1), FASTEST)
        return math.exp(min(max(follows, demanded), remaining))

    def clocked(self, state: State) -> float:
        """Return the factor of the slope without a gallery: from the first to the last by a power of the time."""
        total = math.log(MASS / (CONTACTS * self.d * self.depth) / self.first)
        clock = min(self.clock, max(self.cfg.iterations - WINDOW, 1))
        past, next_ = (min((state.step + k) / clock, 1) ** EASE for k in (0, 1))
        return math.exp(total * (next_ - past))

    def move(self, state: State, tile: slice, fresh: bool) -> Tensor:
        """Move the rows of one tile in place; `fresh`: compute their step sizes anew.

        Returns each row's sum of max(cos - t, 0), its contacts, and the force left on it over the slope (tile, 3).
        """
        first = self.exchange.own.start
        weights = self.products.above(slice(first + tile.start, first + tile.stop), state.threshold)
        gradient, total = self.products.pull(weights)
        contacts = torch.zeros_like(total)
        if fresh:
            square = weights.norm(dim=1, dtype=torch.float32).square_().clamp_(min=1e-20)
            contacts = 4 / 3 * total.square() / square  # exact where overlaps are uniform, at most 4 / 3 of the count
            rayleigh = 2 * gradient.square().sum(1) / square  # large where the neighbours lie in one direction
            rate = self.step / torch.maximum((1 + (contacts / self.d).sqrt()).square(), rayleigh)
            state.rate[tile, 0] = torch.minimum(rate, GROWTH * state.rate[tile, 0])
        if self.held:
            gradient.sub_(self.x_ref[state.row[tile]], alpha=self.cfg.alpha / state.slope)
        x, velocity = state.x[tile], state.velocity[tile]
        gradient.addcmul_((gradient * x).sum(1, keepdim=True), x, value=-1)
        age = state.step - state.began
        velocity.mul_(min(self.momentum, age / (age + 3))).addcmul_(gradient, state.rate[tile], value=-1)
        velocity.mul_(FARTHEST / velocity.norm(dim=1, keepdim=True).clamp_(min=FARTHEST))
        x.copy_(normalize(x + velocity))
        velocity.addcmul_((velocity * x).sum(1, keepdim=True), x, value=-1)
        return torch.stack([total, contacts, gradient.norm(dim=1)], 1)
