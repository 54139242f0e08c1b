"""Pairs by group: the accuracy within each group of a grouping (sex, skin, ...), and the gap between best and worst.

Beside pairs.arrow, the folder has groups.arrow: for each grouping the group of each pair, empty where it has none. As
on RFW, a group is a protocol of its own: its folds choose its thresholds, and its impostors are of the group. The draws
of people are those of all pairs, so that the groups of one replicate, and their gap, are about the same people.
"""

from collections.abc import Sequence

import numpy as np

from stages.common import tables, verification
from stages.common.errors import InputError
from stages.common.evaluate import Evaluate
from stages.evaluators import Benchmark, Measured, Part, pairs
from stages.metrics import bootstrap, people
from stages.metrics.bootstrap import Estimate

GAP = "accuracy_gap"


class Kind:
    """Measures the accuracy in folds of each group, and the gap, one part a grouping."""

    unit = True

    def __init__(self, benchmark: Benchmark, cfg: Evaluate) -> None:
        """Read pairs and groups; raises InputError when they are of different lengths."""
        self.benchmark, self.cfg, self.pairs = benchmark, cfg, pairs.read(benchmark)
        self.mirrored = benchmark.domain == "external" or cfg.convention != "ours"
        file = benchmark.folder / "groups.arrow"
        table = tables.read(file)
        if len(table) != len(self.pairs.a):
            raise InputError(file, key="rows", value=len(table), allowed=f"{len(self.pairs.a)}, one a pair")
        columns = {name: np.array(table[name].to_pylist()) for name in table.column_names}
        self.members = {  # by grouping and group, which pairs (p,)
            name: {str(group): column == group for group in np.unique(column) if group}
            for name, column in columns.items()
        }
        self.size = len(table) * len(columns)

    def parts(self) -> list[Part]:
        """Return a part for each grouping."""
        key = self.benchmark.folder.name
        return [
            Part(f"{key}-by-{name}", "groups", (*(f"accuracy_{group}" for group in groups), GAP), _counts(groups))
            for name, groups in self.members.items()
        ]

    def measure(self, rows: Sequence[np.ndarray], seeds: Sequence[int]) -> list[Measured]:
        """Return the estimate of each grouping; the scores are those that `pairs` keeps."""
        score = np.stack([pairs.raw(x, self.pairs) for x in rows])
        weights = bootstrap.pair_weights(self.pairs.people, self.cfg.replicates, self.cfg.seed)
        found = zip(self.parts(), self.members.values(), strict=True)
        return [Measured(self._estimate(part.metrics, groups, score, weights)) for part, groups in found]

    def _estimate(
        self, names: tuple[str, ...], groups: dict[str, np.ndarray], score: np.ndarray, weights: np.ndarray
    ) -> Estimate:
        per_seed, replicates = [], []
        for member in groups.values():
            same, fold = self.pairs.same[member], self.pairs.fold[member]
            own = score[:, member]
            per_seed.append([verification.ten_fold_accuracy(row, same, fold)[0] for row in own])
            with np.errstate(invalid="ignore", divide="ignore"):  # NaN where a replicate draws nobody of the group
                drawn = np.stack([bootstrap.weighted(row, same, fold, weights[:, member], ())[:, :1] for row in own])
            replicates.append(people.over_seeds(drawn, self.cfg.seed))
        value, drawn = np.stack(per_seed, axis=1), np.concatenate(replicates, axis=1)  # (s, groups), (r, groups)
        best, worst = value.mean(axis=0).argmax(), value.mean(axis=0).argmin()
        gap = [x[:, best] - x[:, worst] for x in (value, drawn)]
        return Estimate(names, np.column_stack([value, gap[0]]), np.column_stack([drawn, gap[1]]))


def _counts(groups: dict[str, np.ndarray]) -> dict[str, dict[str, int]]:
    return {"pairs": {group: int(member.sum()) for group, member in groups.items()}}
