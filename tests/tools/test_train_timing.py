"""`timing train`: every loader yields the same faces in the same form."""

import numpy as np
import pytest
import torch

from stages.tools import train_timing


def test_all_loaders_yield_the_same_faces_and_are_counted(tmp_path, monkeypatch):
    for name, value in (("STEPS", 2), ("BATCH", 4), ("RUNS", 1), ("DISTINCT", 8), ("EACH", 2)):
        monkeypatch.setattr(train_timing, name, value)
    loaders = train_timing.loaders(tmp_path, train_timing.drawn(8))
    plain = [name for name in loaders if name.endswith(": flip")]
    assert len(plain) == 4
    sums = []
    for name, loader in loaders.items():
        faces = torch.cat(list(loader()))
        assert faces.shape == (8, 3, 112, 112) and faces.dtype == torch.float32 and faces.abs().max() <= 1, name
        assert train_timing.rate(loader) > 0
        if name in plain:  # a sum does not tell a face from its mirror image, nor RGB from BGR
            sums.append(np.sort(faces.double().sum((1, 2, 3)).numpy()))
    for other in sums[1:]:
        assert other == pytest.approx(sums[0], abs=1e-2)
