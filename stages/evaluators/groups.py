"""Pairs by group: the accuracy within each group of a grouping (sex, skin, ...), and the gap between best and worst.

Beside pairs.arrow, the folder has groups.arrow: for each grouping the group of each pair, empty where it has none.
"""

from collections.abc import Sequence

import numpy as np

from stages.common import tables
from stages.common.errors import InputError
from stages.common.evaluate import Evaluate
from stages.evaluators import Benchmark, Measured, Part, mirrored, pairs
from stages.metrics import grouped


class Kind:
    """Measures the accuracy in folds of each group, and the gap, one part a grouping."""

    unit = True

    def __init__(self, benchmark: Benchmark, cfg: Evaluate) -> None:
        """Read pairs and groups; raises InputError when they are of different lengths."""
        self.benchmark, self.cfg, self.pairs = benchmark, cfg, pairs.read(benchmark)
        self.mirrored = mirrored(benchmark, cfg)
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
            Part(f"{key}-by-{name}", "groups", grouped.names(groups), _counts(groups))
            for name, groups in self.members.items()
        ]

    def measure(self, rows: Sequence[np.ndarray], seeds: Sequence[int]) -> list[Measured]:
        """Return the estimate of each grouping; the scores are those that `pairs` keeps."""
        cfg, people = self.cfg, self.pairs.people
        score = np.stack([pairs.raw(x, self.pairs) for x in rows])
        groupings = self.members.values()
        return [Measured(grouped.estimate(score, people, groups, cfg.replicates, cfg.seed)) for groups in groupings]


def _counts(groups: dict[str, np.ndarray]) -> dict[str, dict[str, int]]:
    return {"pairs": {group: int(member.sum()) for group, member in groups.items()}}
