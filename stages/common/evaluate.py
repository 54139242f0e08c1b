"""The section `evaluate` of params.yaml, which `baselines` reads, too."""

from dataclasses import field
from typing import Annotated, Literal

from pydantic import Field

from stages.common.params import Seed, settings

Rate = Annotated[float, Field(ge=1e-9, lt=1)]


@settings
class Templates:
    """How the images of a template become one row: the mean in each media, the sum over media.

    norm: rows keep theirs, which says how sure the network is, or all count alike. detection: the detector's score
    weighs an image, or not. insightface's `ijb_evals.py` keeps and weighs (and calls it N0D1), AdaFace keeps and
    ignores.
    """

    norm: Literal["keep", "discard"]
    detection: Literal["weigh", "ignore"]


@settings
class Rates:
    """Where recognition is reported: TAR at false accept rates, TPIR at false positive identification rates, ranks."""

    fars: Annotated[list[Rate], Field(min_length=1, max_length=20)]
    fpirs: Annotated[list[Rate], Field(min_length=1, max_length=20)] = field(default_factory=lambda: [0.1, 0.01])
    ranks: Annotated[list[Annotated[int, Field(ge=1, le=1000)]], Field(min_length=1, max_length=20)] = field(
        default_factory=lambda: [1, 5, 20]
    )


@settings
class Evaluate:
    """How recognition is measured: interval level, bootstrap replicates, where it is reported.

    convention: whose folds and thresholds the accuracy on pairs has: ours, or those of insightface and AdaFace. What
    has a default came later: `compare` reads the parameters of earlier commits.
    """

    convention: Literal["ours", "insightface"] = "ours"
    rates: Rates
    templates: Templates = field(default_factory=lambda: Templates(norm="keep", detection="weigh"))
    confidence: Annotated[float, Field(gt=0, lt=1)]
    replicates: Annotated[int, Field(ge=20, le=100_000)]
    seed: Seed
