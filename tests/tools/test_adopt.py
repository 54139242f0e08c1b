"""Published checkpoints become networks that a training can begin with."""

from pathlib import Path
from typing import Any

import nets
import pytest
import torch
import trainings
from ruamel.yaml import YAML
from torch import Tensor, nn

from stages.common import networks
from stages.common.errors import InputError
from stages.recognisers import iresnet
from stages.tools import adopt
from stages.training import start

LEVELS = {
    "iresnet": {"widths": list(nets.WIDTHS), "blocks": list(nets.BLOCKS)},
    "mobilefacenet": {"widths": [4, 6, 8, 10], "blocks": [1, 1, 2, 1]},
    "vit": {"widths": [8], "blocks": [2]},
}


def card_of(backbone: str, folder: Path) -> dict[str, Any]:
    """Write the params.yaml of a small network and return the card of it."""
    options = {"options.heads": 2} if backbone == "vit" else {}
    small = {"embedding_size": nets.D, "input.size_px": nets.SIDE_PX, "input.colour": "rgb"}
    values = trainings.values(backbone=backbone, levels=LEVELS[backbone], **options, **small)
    with (folder / "params.yaml").open("w") as stream:
        YAML(typ="safe").dump({"train": values}, stream)
    return trainings.cfg(backbone=backbone, levels=LEVELS[backbone], **options, **small).card()


def tensors(net: nn.Module) -> dict[str, Tensor]:
    return {key: value for key, value in net.state_dict().items() if not key.endswith("num_batches_tracked")}


def begun(network: Path, card: dict[str, Any]) -> nn.Module:
    """Return a network that begins with those weights."""
    torch.manual_seed(2)
    fresh = networks.build(card)
    start.begin(fresh, network)
    return fresh


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "source").mkdir()
    nets.write_card(tmp_path / "source/card.json")
    return tmp_path / "source"


@pytest.mark.parametrize("backbone", LEVELS)
def test_a_checkpoint_of_arcface_torch_fits(backbone: str, source: Path):
    """As its training leaves it: wrapped for several GPUs, beside the class centres and the optimiser."""
    card = card_of(backbone, source.parent)
    torch.manual_seed(1)
    trained = networks.build(card)
    for value in tensors(trained).values():
        value.uniform_(0.5, 1.5).copy_(value.half())
    wrapped = {f"module.{key}": value for key, value in trained.state_dict().items()}
    head = {"weight": torch.zeros(9, nets.D)}
    checkpoint = {"epoch": 3, "state_dict_backbone": wrapped, "state_dict_softmax_fc": head, "state_optimizer": {}}
    torch.save(checkpoint, source / "checkpoint.pt")
    adopt.adopt(source, Path("mine"))
    fresh = begun(Path("mine"), card)
    assert all(torch.equal(value, tensors(trained)[key]) for key, value in tensors(fresh).items())


def test_a_checkpoint_of_adaface_gives_its_rows_of_faces_in_rgb(source: Path):
    torch.save({"state_dict": {f"model.{k}": v.half().float() for k, v in nets.adaface().items()}}, source / "a.ckpt")
    nets.write_card(source / "card.json", colour="bgr")
    card = card_of("iresnet", source.parent)
    adopt.main([str(source), "mine"])
    x = torch.randn(2, 3, nets.SIDE_PX, nets.SIDE_PX)
    assert torch.allclose(begun(Path("mine"), card).eval()(x), iresnet.load(source).net(x.flip(1)), atol=1e-2)


def test_another_network_than_train_describes_and_an_output_that_exists_are_refused(source: Path):
    card_of("mobilefacenet", source.parent)
    torch.save(nets.adaface(), source / "backbone.pth")
    with pytest.raises(InputError, match="missing tensors: layers.0") as error:
        adopt.adopt(source, Path("mine"))
    assert error.value.key == "train.start" and not Path("mine").exists()
    with pytest.raises(InputError, match="is there already"):
        adopt.adopt(source, source)
