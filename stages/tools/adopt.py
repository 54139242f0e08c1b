"""Make a network of ours of a published checkpoint, for `train.start` to go on from.

python -m stages.tools.adopt data/external/weights/r50 data/external/weights/mine

The folder holds the checkpoint, in the layout of arcface_torch (IResNet, MobileFaceNet, ViT) or of AdaFace, and its
card.json. `train` in params.yaml describes the network: backbone, levels, options, embedding_size, input. One for BGR
becomes one for RGB. Mean and standard deviation of the card are not used: in training each face is standardised by its
own, and the network has to get used to that.
"""

import argparse
from pathlib import Path

from torch import Tensor

from stages.common import artifacts, networks, params
from stages.common.errors import InputError
from stages.foreign import checkpoints, published
from stages.foreign.state_dicts import FIRST, arcface_layout, state_dict
from stages.tools import command
from stages.training import start
from stages.training.settings import Train

ADAFACE = "input_layer.0.weight"  # a key of AdaFace's layout alone


def adopt(source: Path, out: Path) -> None:
    """Write the checkpoint in a folder as a network of ours.

    Raises InputError when it is not the network that `train` describes.
    """
    if out.exists():
        raise InputError(out, "is there already", allowed="a folder that does not exist")
    card = params.load("train", Train).card()
    net = networks.build(card)
    start.fill(net, *_published(source))
    networks.save(out, net, card)


def _published(network: Path) -> tuple[Path, dict[str, Tensor]]:
    """Return the tensors of a checkpoint by arcface_torch's keys, for RGB."""
    file, card = artifacts.weights_of(network, *checkpoints.SUFFIXES), published.read(network)
    card.verify(file)
    tensors = state_dict(file)
    if ADAFACE in tensors:
        tensors = arcface_layout(file, tensors)
    if card.colour == "bgr":
        tensors |= {key: tensors[key].flip(1) for key in FIRST if key in tensors}
    return file, tensors


def main(arguments: list[str]) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser("python -m stages.tools.adopt", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("source", type=Path, help="folder of the checkpoint and its card")
    parser.add_argument("out", type=Path, help="folder to be written")
    args = parser.parse_args(arguments)
    adopt(args.source, args.out)
    print(f"adopt: {args.source} -> {args.out}")


if __name__ == "__main__":
    command.run(main)
