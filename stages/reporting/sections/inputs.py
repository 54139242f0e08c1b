"""All that the sections of the report show."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from stages.reporting.results import Contrast, Variant
from stages.reporting.scores import Shows
from stages.settings.report import Report

DATA = Path("data")


@dataclass(frozen=True)
class Inputs:
    """All that the sections of the report show."""

    variants: list[Variant]
    contrasts: list[Contrast]
    pack: dict[str, Any]
    audit: dict[str, Any]
    measured: pd.DataFrame  # the table of results; see `frame`
    smallest: Shows
    values: dict[str, Any]  # of params.yaml
    cfg: Report
    colours: dict[str, str]
    folder: Path  # of the figures

    @property
    def confidence(self) -> float:
        """Return the level of the intervals of accuracies."""
        return self.values["evaluate"]["confidence"]
