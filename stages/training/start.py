"""Begin a training with the weights of another."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from stages.common import artifacts
from stages.common.errors import InputError


def begin(net: nn.Module, network: Path) -> None:
    """Copy the weights in the folder of a network into one that was just built.

    A published checkpoint becomes such a folder by `python -m stages.tools.adopt`. Raises InputError as `fill`.
    """
    fill(net, network / artifacts.WEIGHTS, artifacts.read_weights(network)[0])


def fill(net: nn.Module, file: Path, tensors: Mapping[str, Tensor]) -> None:
    """Copy the tensors of a file into a network; raises InputError with the first that do not fit."""
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
        problem = "; ".join(f"{what}: {_first(keys)}" for what, keys in wrong.items() if keys)
        raise InputError(file, problem, key="train.start", allowed="weights of the network that `train` describes")
    net.load_state_dict(tensors, strict=False)


def _first(keys: list[str]) -> str:
    return keys[0] + (f" and {len(keys) - 1} more" if len(keys) > 1 else "")
