"""Weights that a training begins with: of ours, of others, and of another network."""

from pathlib import Path
from typing import Any

import nets
import pytest
import torch
from refusal import refused
from torch import Tensor, nn

from stages.common import networks
from stages.recognisers import iresnet
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


@pytest.mark.parametrize("card", [IRESNET, MOBILEFACENET, VIT], ids=lambda card: card["architecture"])
def test_a_checkpoint_of_arcface_torch_fits(card: dict[str, Any], tmp_path: Path):
    """As its training leaves it: wrapped for several GPUs, beside the class centres and the optimiser."""
    wrapped = {f"module.{key}": value for key, value in trained(card).state_dict().items()}
    head = {"weight": torch.zeros(9, nets.D)}
    checkpoint = {"epoch": 3, "state_dict_backbone": wrapped, "state_dict_softmax_fc": head, "state_optimizer": {}}
    torch.save(checkpoint, tmp_path / "checkpoint.pt")
    nets.write_card(tmp_path / "card.json")
    fresh = net(card, seed=2)
    begin(fresh, tmp_path)
    expected = tensors(trained(card))
    assert all(torch.equal(value, expected[key]) for key, value in tensors(fresh).items())


def test_a_checkpoint_of_adaface_gives_its_rows_of_faces_in_rgb(tmp_path: Path):
    torch.save({"state_dict": {f"model.{k}": v for k, v in nets.adaface().items()}}, tmp_path / "adaface.ckpt")
    nets.write_card(tmp_path / "card.json", colour="bgr")
    fresh = net(IRESNET, seed=2).eval()
    begin(fresh, tmp_path)
    x = torch.randn(2, 3, nets.SIDE_PX, nets.SIDE_PX)
    assert torch.allclose(fresh(x), iresnet.load(tmp_path).net(x.flip(1)), atol=1e-5)


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
@pytest.mark.parametrize("own", [True, False])
def test_weights_of_another_network_are_refused(
    card: dict[str, Any], changes: dict[str, Any], problems: list[str], own: bool, tmp_path: Path
):
    source = net(IRESNET, seed=1)
    if own:
        networks.save(tmp_path, source, IRESNET)
    else:
        torch.save(source.state_dict(), tmp_path / "backbone.pth")
        nets.write_card(tmp_path / "card.json")
    fresh = net(card, 2, **changes)
    before = {key: value.clone() for key, value in fresh.state_dict().items()}
    for problem in problems:
        with refused("weights.safetensors" if own else "backbone.pth", problem, key="train.start"):
            begin(fresh, tmp_path)
    assert all(torch.equal(value, before[key]) for key, value in fresh.state_dict().items())


def test_a_folder_without_weights_is_refused(tmp_path: Path):
    with refused(tmp_path, "0 files of weights"):
        begin(net(IRESNET, 1), tmp_path)
