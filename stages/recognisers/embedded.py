"""The recognisers of our own, trained on rendered faces by `pretrain` and `train`."""

from stages.common.networks import load

__all__ = ["load"]
