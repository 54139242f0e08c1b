"""All rows in the form in which an iteration multiplies them: bfloat16 where the processor has it, else float32.

Rounding a row to bfloat16 moves its cosines by about 5e-5 at d = 512. In late iterations pairs overlap their threshold
by less than that, so they need what rounding cut off. Where bfloat16 is many times as fast as float32, a row is high +
low, both bfloat16, and a cosine is high.high + high.low + low.high: three products, computed side by side as one.
Elsewhere one product in float32 costs less than three.
"""

import torch
from torch import Tensor

from stages.common.devices import products_dtype, splits
from stages.packing import orbits
from stages.packing.collectives import Exchange
from stages.packing.tiles import TILE

PAD = 32  # columns between the parts, which keep products aligned; the first two hold the threshold


class Products:
    """Room for rows of d dimensions as [high, 1, 1, 0 ..., high, low], the last two parts in bfloat16 only.

    There are m = orbit x r rows. The first r stand for all, and are what the ranks divide among them.
    """

    def __init__(self, r: int, orbit: int, d: int, exchange: Exchange, device: torch.device) -> None:
        """Set the buffers up; `exchange` brings the other ranks' rows."""
        m = r * orbit
        dtype = products_dtype(m)
        self.d, self.orbit, self.exchange = d, orbit, exchange
        self.rounded, self.precise = dtype != torch.float32, False
        self.split = self.rounded and splits()
        self.rows = torch.zeros(m, (3 if self.split else 1) * d + PAD, dtype=dtype, device=device)
        self.rows[:, d : d + 2] = 1
        self.exact = torch.empty(m if self.rounded and not self.split else 0, d, device=device)
        self.weights = torch.empty(min(TILE, r), m, dtype=dtype, device=device)

    def put(self, own: Tensor, precise: bool) -> None:
        """Take this rank's rows (own, d) float32 and the others'; `precise`: with what rounding cut off."""
        self.precise = precise and self.rounded
        if self.precise and not self.split:
            self.exact[:] = orbits.expanded(self.exchange.rows(own), self.orbit)  # a copy: rows move tile by tile
            self.rows[:, : self.d] = self.exact
            return
        high = own.to(self.rows.dtype)
        parts = torch.cat([high, (own - high).to(high.dtype)], 1) if self.precise else high
        parts = self.exchange.rows(parts)  # (r, d or 2 d)
        self.rows[:, : self.d] = orbits.expanded(parts[:, : self.d], self.orbit)
        if self.precise:
            self.rows[:, self.d + PAD : 2 * self.d + PAD] = self.rows[:, : self.d]
            self.rows[:, 2 * self.d + PAD :] = orbits.expanded(parts[:, self.d :], self.orbit)

    def above(self, tile: slice, threshold: float) -> Tensor:
        """Return max(cos - threshold, 0) of the rows `tile` to all rows, 0 to themselves: (tile, m).

        The next call overwrites it. In bfloat16 two columns hold the threshold, so that what is rounded is the small
        difference.
        """
        if self.precise and not self.split:
            weights = (self.exact[tile] @ self.exact.T).sub_(threshold).relu_().to(self.rows.dtype)
            weights.diagonal(tile.start).zero_()
            return weights
        d, rows = self.d, self.rows if self.precise else self.rows[:, : self.d + PAD]
        left = rows[tile].clone()
        left[:, d] = -threshold
        left[:, d + 1] = -threshold - left[:, d].float()  # what rounding cut off
        if self.precise:
            left[:, d + PAD : 2 * d + PAD] = rows[tile, 2 * d + PAD :]
            left[:, 2 * d + PAD :] = rows[tile, :d]
        weights = torch.mm(left, rows.T, out=self.weights[: len(left)]).relu_()
        weights.diagonal(tile.start).zero_()
        return weights

    def pull(self, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Return the sum (tile, d) of all rows by weights (tile, m), and the weights' sum (tile,), both float32."""
        sums = (weights @ self.rows[:, : self.d + PAD]).float()
        return sums[:, : self.d], sums[:, self.d]
