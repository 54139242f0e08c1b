"""What tests/recognisers/test_iresnet.py does not compare with a reference: training."""

import pytest
import torch
from torch import Tensor

from stages.backbones.iresnet import Iresnet


@pytest.mark.parametrize("share", [0.0, 0.4])
def test_a_share_of_the_last_layer_s_inputs_is_dropped_in_training_alone(share: float):
    torch.manual_seed(0)
    net, seen = Iresnet([4, 4, 4, 64], 5, 32, 2, [1, 1, 1, 1], dropout=share), list[Tensor]()
    net.fc.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    x = torch.randn(8, 2, 32, 32)
    net.train()(x)
    net.eval()(x)
    dropped, none = ((inputs == 0).float().mean().item() for inputs in seen)
    assert dropped == pytest.approx(share, abs=0.05) and none == 0
