"""Begin a training with the weights of another."""

from pathlib import Path

from torch import Tensor, nn

from stages.common import artifacts
from stages.common.errors import InputError
from stages.foreign import checkpoints, published
from stages.foreign.state_dicts import FIRST, arcface_layout, listed, state_dict

ADAFACE = "input_layer.0.weight"  # a key of AdaFace's layout alone


def begin(net: nn.Module, network: str | Path) -> None:
    """Copy the weights in the folder of a network into one that was just built.

    network: of ours, as `networks.save` writes it; or a card with a checkpoint in the layout of arcface_torch (IResNet,
    MobileFaceNet, ViT) or AdaFace. One for BGR becomes one for RGB. Mean and standard deviation of its card are not
    used: in training, each face is standardised by its own, and the network has to get used to that.
    Raises InputError when the weights are not those of such a network, with the first tensors that do not fit.
    """
    file, tensors = _own(Path(network)) if Path(network, artifacts.WEIGHTS).is_file() else _published(network)
    expected = {key: value for key, value in net.state_dict().items() if not key.endswith("num_batches_tracked")}
    shapes = [
        f"{key} {tuple(tensors[key].shape)} instead of {tuple(value.shape)}"
        for key, value in expected.items() if key in tensors and tensors[key].shape != value.shape
    ]  # fmt: skip
    wrong = {
        "missing tensors": [key for key in expected if key not in tensors],
        "tensors left over": [key for key in tensors if key not in expected],
        "wrong shapes": shapes,
    }
    if any(wrong.values()):
        problem = "; ".join(f"{what}: {listed(keys, shown=1)}" for what, keys in wrong.items() if keys)
        raise InputError(file, problem, key="train.start", allowed="weights of the network that `train` describes")
    net.load_state_dict(tensors, strict=False)


def _own(network: Path) -> tuple[Path, dict[str, Tensor]]:
    return network / artifacts.WEIGHTS, artifacts.read_weights(network)[0]


def _published(network: str | Path) -> tuple[Path, dict[str, Tensor]]:
    """Return the tensors of a checkpoint by arcface_torch's keys, for RGB."""
    file, card = artifacts.weights_of(network, *checkpoints.SUFFIXES), published.read(network)
    card.verify(file)
    tensors = state_dict(file)
    if ADAFACE in tensors:
        tensors = arcface_layout(file, tensors)
    if card.colour == "bgr":
        tensors |= {key: tensors[key].flip(1) for key in FIRST if key in tensors}
    return file, tensors
