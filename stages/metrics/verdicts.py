"""What may be concluded from many differences, and how small a difference can be to be seen."""

from collections.abc import Sequence

import numpy as np
from scipy import stats

POWER = 0.8  # how often a difference of the smallest size that shows is found


def holm(p: Sequence[float] | np.ndarray) -> np.ndarray:
    """Return the p-values (n,) after Holm's correction (1979) for n comparisons.

    Whatever is true of the n differences, one of them comes out below a level in no more than that share of reports.
    """
    order = np.argsort(p, kind="stable")
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(np.maximum.accumulate(np.asarray(p)[order] * np.arange(len(p), 0, -1)), 1)
    return corrected


def smallest(error: float, df: float, level: float) -> float:
    """Return the difference that is found in 80 of 100 repetitions, at a standard error with `df` degrees of freedom.

    level: of the two-sided test, 0.05 for one comparison.
    """
    return float(error * (stats.t.ppf(1 - level / 2, df) + stats.t.ppf(POWER, df)))
