"""The accuracy of pairs within groups (sex, skin, ...), and the gap between the best group and the worst.

As on RFW, a group is a protocol of its own: its folds choose its thresholds, and its impostors are of the group. A pair
of another group contributes nothing to it, and people who appear in several are the same people in their gap.
"""

from collections.abc import Mapping

import numpy as np

from stages.metrics import influence, replicates
from stages.metrics.bootstrap import Estimate
from stages.metrics.replicates import Pairs

GAP = "accuracy_gap"


def names(groups: Mapping[str, np.ndarray]) -> tuple[str, ...]:
    """Return the names of the metrics: the accuracy of each group, then the gap."""
    return (*(f"accuracy_{group}" for group in groups), GAP)


def estimate(score: np.ndarray, pairs: Pairs, groups: Mapping[str, np.ndarray], count: int, seed: int) -> Estimate:
    """Return the metrics of scores (s, p), a row per training seed, with `count` replicates.

    groups: which pairs (p,) are of each group.
    """
    value, influences = np.empty((len(score), len(groups))), np.zeros((len(score), len(groups), score.shape[1]))
    for g, member in enumerate(groups.values()):
        alone = Pairs(*(column[member] for column in (pairs.same, pairs.fold, pairs.identity_a, pairs.identity_b)))
        few = replicates.freedom(alone) / replicates.freedom(pairs)
        for s, row in enumerate(score):
            found = influence.accuracy(row[member], alone.same, alone.fold)
            value[s, g], influences[s, g, member] = found.value, few * found.pairs
    drawn = value.mean(axis=0) + replicates.of(influences, pairs, count, seed)
    best, worst = value.mean(axis=0).argmax(), value.mean(axis=0).argmin()
    per_seed, replicated = (np.column_stack([x, x[:, best] - x[:, worst]]) for x in (value, drawn))
    return Estimate(names(groups), per_seed, replicated)
