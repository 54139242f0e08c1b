"""AttrOP's loss and its record on numbers worked out by hand."""

import numpy as np
import pytest
import torch

from stages.attributes import critic, record
from stages.attributes.critic import Seen

SEEN = Seen(torch.tensor([0.9, 1.0]), torch.tensor([20.0, 30.0]), torch.tensor([[10.0, -5.0], [-20.0, 3.0]]))


def test_the_loss_weighs_identity_quality_and_pose():
    """A hundred for 1 - cosine, one for each of feature norm below one more than the least, and for each degree."""
    assert critic.loss(SEEN, None, 24.0).tolist() == pytest.approx([10 + 5, 0])
    asked_deg = torch.tensor([[12.0, 0.0], [20.0, 0.0]])
    assert critic.loss(SEEN, asked_deg, 24.0).tolist() == pytest.approx([10 + 5 + 2 + 5, 40 + 3])
    dim = Seen(SEEN.cosine, torch.tensor([0.5, 0.5]), SEEN.pose_deg)
    assert critic.loss(dim, None, 0.0).tolist() == pytest.approx([10, 0])  # no quality is asked for


def test_the_record_names_what_was_asked_and_what_was_reached():
    reached = np.array([[0.9, 20, 10, -5, 7, 1], [0.4, 21, -20, 3, 16, 0]], np.float32)
    row, index = np.array([3, 4]), np.array([0, 1])
    table = record.table("pose", row, index, np.array([[12, 0], [20, 1]]), reached)
    first, second = table.to_pylist()
    assert first == pytest.approx({
        "kind": "pose", "row": 3, "index": 0, "asked_yaw_deg": 12, "asked_pitch_deg": 0, "cosine": 0.9, "norm": 20,
        "yaw_deg": 10, "pitch_deg": -5, "steps": 7, "accepted": True,
    })  # fmt: skip
    assert not second["accepted"] and second["steps"] == 16 and second["asked_pitch_deg"] == 1
    centre = record.table("centre", row, index, None, reached).to_pylist()[0]
    assert centre["asked_yaw_deg"] is None and centre["asked_pitch_deg"] is None
