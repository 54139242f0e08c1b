"""The decorrelation penalty: known answers."""

import numpy as np
import torch

from stages.training.decorrelation import decorrelation


def test_decorrelation_is_zero_for_independent_coordinates_and_not_for_copies():
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((20_000, 8)).astype(np.float32))
    assert decorrelation(x) < 0.01
    assert decorrelation(x[:, [0, 0, 1, 1, 2, 2, 3, 3]]) > 0.5
