"""Search in a closed set with distractors, as in TinyFace: every probe has a mate in the one gallery.

Tables are those of `open_set`; distractors are templates of the gallery whose person no probe shows.
"""

import numpy as np

from stages.common.errors import InputError
from stages.evaluators import open_set


class Kind(open_set.Kind):
    """Measures the share of probes whose best mate is within each of `evaluate.rates.ranks`."""

    closed = True

    def _check(self, gallery: str, mated: np.ndarray) -> None:
        """Refuse a gallery that lacks the mate of a probe."""
        if not mated.all():
            probe = int(self.probes[np.argmin(mated)])
            problem = f"no mate in gallery {gallery}"
            raise InputError(self.file, problem, key="probe", value=probe, allowed="one or more")
