"""Weights that a training begins with: of ours, of others, and of another network."""

from pathlib import Path
from typing import Any

import nets
import pytest
import torch
from refusal import refused
from torch import Tensor, nn

from stages.common import networks
from stages.training.start import begin

BASE = {"embedding_size": nets.D, "size_px": nets.SIDE_PX, "colour": "rgb"}
IRESNET = {**BASE, "architecture": "iresnet", "widths": list(nets.WIDTHS), "blocks": list(nets.BLOCKS)}
MOBILEFACENET = {**BASE, "architecture": "mobilefacenet", "widths": [4, 6, 8, 10], "blocks": [1, 1, 2, 1]}
VIT = {**BASE, "architecture": "vit", "widths": [8], "blocks": [2], "heads": 2, "patch_px": 9}
COMPACT = {**BASE, "architecture": "compact", "widths": [4, 6, 8, 10]}


def net(card: dict[str, Any], seed: int, **changes: Any) -> nn.Module:
    torch.manual_seed(seed)
    return networks.build({**card, **changes})


def tensors(net: nn.Module) -> dict[str, Tensor]:
    return {key: value for key, value in net.state_dict().items() if not key.endswith("num_batches_tracked")}


def trained(card: dict[str, Any]) -> nn.Module:
    """Return a network whose every weight and mean is one of its own, and a number of float16."""
    trained = net(card, seed=1)
    for value in tensors(trained).values():
        value.uniform_(0.5, 1.5).copy_(value.half())
    return trained


@pytest.mark.parametrize("card", [COMPACT, IRESNET, MOBILEFACENET, VIT], ids=lambda card: card["architecture"])
def test_a_network_of_ours_goes_on_where_it_ended(card: dict[str, Any], tmp_path: Path):
    networks.save(tmp_path / "net", trained(card), card)
    fresh = net(card, seed=2)
    begin(fresh, tmp_path / "net")
    expected = tensors(trained(card))
    assert all(torch.equal(value, expected[key]) for key, value in tensors(fresh).items())
    assert [p.requires_grad for p in fresh.parameters()] == [p.requires_grad for p in net(card, 2).parameters()]


DEEPER = [2, 1, 3, 2]
WIDER = [*nets.WIDTHS[:3], 24]


@pytest.mark.parametrize(
    ("card", "changes", "problems"),
    [
        (IRESNET, {"blocks": DEEPER}, ["missing tensors: layer4.1.bn1.weight and 14 more"]),
        (IRESNET, {"blocks": [2, 1, 2, 1]}, ["tensors left over: layer3.2.", " and 14 more"]),
        (IRESNET, {"widths": WIDER}, ["wrong shapes: layer4.0.conv1.weight (20, 16, 3, 3) instead of (24, 16"]),
        (IRESNET, {"embedding_size": 8}, [f"fc.weight ({nets.D}, 80) instead of (8, 80) and"]),
        (VIT, {}, ["missing tensors: pos_embed and", "tensors left over: "]),
        (MOBILEFACENET, {}, ["missing tensors: layers.0.layers.0.weight and", "tensors left over: "]),
    ],
)  # fmt: skip
def test_weights_of_another_network_are_refused(
    card: dict[str, Any], changes: dict[str, Any], problems: list[str], tmp_path: Path
):
    networks.save(tmp_path, net(IRESNET, seed=1), IRESNET)
    fresh = net(card, 2, **changes)
    before = {key: value.clone() for key, value in fresh.state_dict().items()}
    for problem in problems:
        with refused("weights.safetensors", problem, key="train.start"):
            begin(fresh, tmp_path)
    assert all(torch.equal(value, before[key]) for key, value in fresh.state_dict().items())


def test_a_folder_without_weights_is_refused(tmp_path: Path):
    with refused("weights.safetensors", "no such file"):
        begin(net(IRESNET, 1), tmp_path)
