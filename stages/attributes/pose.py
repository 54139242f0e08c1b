"""The pretrained pose network."""

from pathlib import Path

from torch import Tensor

from stages.common import artifacts, networks
from stages.common.errors import InputError

NETWORK = Path("data/pretrain/pose")


class PoseNetwork:
    """Measures yaw and pitch of faces; it was trained on rendered ones, and its error on photographs is not known."""

    def __init__(self, net: networks.Embedded, unit_deg: float) -> None:
        """Hold the network, whose two outputs count in units of `unit_deg`."""
        self.net, self.unit_deg = net, unit_deg

    def degrees(self, x: Tensor, frame_px: float | None = None) -> Tensor:
        """Return yaw and pitch (b, 2) in degrees of faces (b, h, w, 3) RGB float in [0, 255], with gradients."""
        return self.unit_deg * self.net.features(x, frame_px)


def load() -> PoseNetwork:
    """Return the pose network of data/pretrain; raises InputError when it is missing or no pose network."""
    net, card = networks.load(NETWORK), artifacts.read_json(NETWORK / artifacts.CARD)
    if net.embedding_size != 2 or "unit_deg" not in card:
        raise InputError(NETWORK, "not a pose network", allowed="two outputs, and unit_deg on the card")
    return PoseNetwork(net, card["unit_deg"])
