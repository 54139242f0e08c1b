"""The section `evaluate` of params.yaml, which `baselines` reads, too."""

from typing import Annotated, Literal

from pydantic import Field

from stages.common.params import Seed, settings


@settings
class Evaluate:
    """How recognition is measured: interval level, bootstrap replicates, false accept rates.

    convention: whose folds and thresholds the accuracy on pairs has: ours, or those of insightface and AdaFace. What
    has a default came later: `compare` reads the parameters of earlier commits.
    """

    convention: Literal["ours", "insightface"] = "ours"
    fars: Annotated[list[Annotated[float, Field(ge=1e-9, lt=1)]], Field(min_length=1, max_length=20)]
    confidence: Annotated[float, Field(gt=0, lt=1)]
    replicates: Annotated[int, Field(ge=20, le=100_000)]
    seed: Seed
