"""Templates: sets of images of one person, pooled into one row. No kind of its own; three kinds read them.

The folder has templates.arrow: template (from 0), media and the detector's score of each image, in their order.
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csc_array

from stages.common import sphere, tables
from stages.common.errors import InputError
from stages.common.evaluate import Evaluate
from stages.common.templates import IMAGES
from stages.evaluators import Benchmark, beyond

STEP = 16_384  # images whose rows are in memory at a time


@dataclass(frozen=True)
class Templates:
    """Template, media and score of the detector of n images, and the person (t,) of each template."""

    template: np.ndarray
    media: np.ndarray
    score: np.ndarray
    person: np.ndarray

    def pooled(self, x: np.ndarray, cfg: Evaluate) -> np.ndarray:
        """Return the unit row of each template, (t, d) float32, from rows x (n, d) at their native norms.

        Images of one media count as one: an image weighs one over their number, so that the sum over a template is the
        sum of the means of its media (insightface, eval_ijbc.py). Settings say whether norms and scores weigh, too.
        """
        media, number = np.unique(self.media, return_inverse=True)
        key = self.template.astype(np.int64) * len(media) + number
        _, group, count = np.unique(key, return_inverse=True, return_counts=True)
        weight = 1 / count[group]
        if cfg.templates.detection == "weigh":
            weight *= self.score
        member = csc_array((weight, (self.template, np.arange(len(x)))), (len(self.person), len(x)))
        total = np.zeros((len(self.person), x.shape[1]))
        for start in range(0, len(x), STEP):
            part = slice(start, start + STEP)
            total += member[:, part] @ (x[part] if cfg.templates.norm == "keep" else sphere.unit_rows(x[part]))
        return sphere.unit_rows(total)


def read(benchmark: Benchmark) -> Templates:
    """Return the templates of a benchmark; raises InputError when one has no image or shows two people."""
    file = benchmark.folder / "templates.arrow"
    table = tables.read(file, IMAGES)
    template, media, score = (table[key].to_numpy() for key in IMAGES.names)
    if len(template) != len(benchmark.shards):
        raise InputError(file, key="rows", value=len(template), allowed=f"{len(benchmark.shards)}, one an image")
    beyond(file, {"template": template}, len(template))
    images = np.bincount(template)
    if not images.all():
        raise InputError(file, "no image", key="template", value=int(np.argmin(images)), allowed="one or more")
    identity = benchmark.shards.column("identity")
    person = np.empty(len(images), identity.dtype)
    person[template] = identity
    wrong = np.flatnonzero(person[template] != identity)
    if len(wrong):
        raise InputError(file, "images of two people", key="template", value=int(template[wrong[0]]), allowed="one")
    return Templates(template, media, score, person)
