"""Heads for label spaces of millions: class weights spread over the ranks, and a sample of them in each step.

Every rank has the embeddings and labels of the whole batch, and compares them with its own rows of the class weights;
maxima and sums over the ranks make the exact softmax, or whatever loss a head has, of all classes. ArcFace's code has
this for a softmax (Deng et al., CVPR 2019); here any `MarginHead` can be spread, with one rank's initial weights.

A step may take a sample of the class weights (Partial FC, An et al., CVPR 2022): those of the batch's labels, others at
random. The rest have gradient 0; unlike in the authors' code, an optimiser's momentum and decay still move them.
"""

from functools import cache
from typing import Any

import torch
from torch import Tensor

from stages.common.streams import stream
from stages.training import heads
from stages.training.collectives import ALONE, Group
from stages.training.heads import MarginHead

DRAWN_ROWS = 2**14  # at once, a multiple of the 16 numbers that torch draws together; so no rank holds all rows


def load(
    name: str,
    classes: int,
    d: int,
    scale: float,
    margin: float,
    *,
    group: Group = ALONE,
    sample: float = 1.0,
    seed: int = 0,
    **options: Any,
) -> MarginHead:
    """Build the head in `stages/heads/NAME.py` with this rank's rows of the class weights, or plain where that is all.

    sample: share, in (0, 1], of a rank's class weights that a step takes, at least those of its labels; what is drawn
    depends on `seed`, the head's `step` and the rank. Buffers, and parameters other than `weight`, are alike on all
    ranks.
    Raises InputError as `check_options`.
    """
    if group.size == 1 and sample == 1:
        return heads.load(name, classes, d, scale, margin, **options)
    heads.check_options(name, options)
    own = {"group": group, "sample": sample, "seed": seed}
    return _spread(name)(classes, d, scale, margin, **own, **options)


def rows_of(classes: int, group: Group) -> range:
    """Return the rows of this rank's class weights: split as torch.chunk and DTensor's Shard(0) do it."""
    most = -(-classes // group.size)
    return range(min(group.rank * most, classes), min((group.rank + 1) * most, classes))


@cache
def _spread(name: str) -> type[MarginHead]:
    cls = heads.class_of(name)
    return type(f"Sharded{cls.__name__}", (ShardedHead, cls), {})


class ShardedHead(MarginHead):
    """The part of a sharded head that does not depend on the paper; its other base is the head's class.

    `weight` holds this rank's rows, (rows, d).
    """

    def __init__(self, classes: int, *args: Any, group: Group, sample: float, seed: int, **options: Any) -> None:
        """Draw this rank's rows."""
        self.group, self.sample, self.seed = group, sample, seed
        self.rows = rows_of(classes, group)
        super().__init__(classes, *args, **options)
        for parameter in self.parameters():
            if parameter is not self.weight:
                parameter.register_hook(group.summed)  # all ranks have it alike

    def penalty(self, norm: Tensor) -> Tensor | None:
        """Return the penalty, which every rank computes alike."""
        return super().penalty(self.group.shared(norm))

    def cross_entropy(self, logits: Tensor, label: Tensor) -> Tensor:
        """Return the cross-entropy (b,) of softmax over the classes of all ranks."""
        highest = logits.detach().amax(1) if logits.shape[1] else logits.new_full((len(logits),), -torch.inf)
        highest = self.group.maximum(highest)
        total = self.total((logits - highest[:, None]).exp())
        return highest + total.log() - self._at(logits, label)

    def total(self, terms: Tensor) -> Tensor:
        """Return the sum (b,) of terms (b, own classes) over the classes of all ranks."""
        return self.group.total(terms.sum(1))

    def _drawn(self, classes: int, d: int) -> Tensor:
        starts = range(0, max(classes - DRAWN_ROWS, 0) + 1, DRAWN_ROWS)  # the last piece takes the rest
        own = []
        for start, stop in zip(starts, [*starts[1:], classes], strict=True):
            piece = torch.randn(stop - start, d)
            own.append(piece[max(self.rows.start - start, 0) : max(self.rows.stop - start, 0)].clone())
        return torch.cat(own)

    def _chosen(self, label_a: Tensor, label_b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the class weights of this step, and both labels as numbers of their rows, -1 for another rank's."""
        row_a, row_b = (self._row(label) for label in (label_a, label_b))
        if self.sample == 1:
            return self.weight, row_a, row_b
        kept = self._kept(torch.cat([row_a, row_b]))
        column = kept.new_full((len(self.rows) + 1,), -1)  # the last is where -1 leads
        column[kept] = torch.arange(len(kept), device=kept.device)
        return self.weight.index_select(0, kept), column[row_a], column[row_b]

    def _row(self, label: Tensor) -> Tensor:
        own = (label >= self.rows.start) & (label < self.rows.stop)
        return torch.where(own, label - self.rows.start, -1)

    def _kept(self, rows: Tensor) -> Tensor:
        """Return the rows that this step takes: `rows`, and as many random others as are still wanted."""
        assert self.step is not None, "the step keys what is drawn"
        rng = stream("negatives", self.seed, self.step, self.group.rank)
        priority = torch.from_numpy(rng.random(len(self.rows), "f4")).to(rows.device)
        positives = rows[rows >= 0].unique()
        priority[positives] = 2
        count = max(int(self.sample * len(self.rows)), len(positives))
        return priority.topk(count).indices

    def _at(self, x: Tensor, label: Tensor) -> Tensor:
        """Return each row's value (b,) at its label, from the rank that has it."""
        own, column = self._own(label)
        return self.group.total(x.new_zeros(len(x)).index_put((own,), x[own, column]))

    def _own(self, label: Tensor) -> tuple[Tensor, Tensor]:
        """Return the batch's rows whose target this rank has, and the targets' columns."""
        own = (label >= 0).nonzero()[:, 0]
        return own, label[own]

    def _loss(self, cos: Tensor, norm: Tensor, label: Tensor) -> Tensor:
        own, column = self._own(label)
        target = self.target(cos[own, column][:, None], norm[own])[:, 0]
        everywhere = self.group.summed(target.new_zeros(len(cos)).index_put((own,), target))
        logits = self.negatives(cos, everywhere[:, None]).index_put((own, column), target)
        return self.loss(logits, label)
