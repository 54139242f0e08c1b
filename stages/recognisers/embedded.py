"""The recognisers of our own, trained on rendered faces by `pretrain` and `train`."""

from pathlib import Path

from stages.common import networks
from stages.common.networks import Embedded


def load(weights: str | Path, card_file: str | Path | None = None) -> Embedded:
    """Return the recogniser in `weights`; raises ValueError when file and card do not fit each other."""
    return networks.load(weights, card_file)
