"""Write a network of ours as one ONNX file, with a card beside it for the backend `onnx`.

The graph takes what recognition tools feed: RGB faces (batch, 3, side, side) float32, (pixel - 127.5) / 127.5. Grey and
standardisation are in it, since these tools know neither; its rows are not normalised. Given the same uint8 faces, they
are those of our own network in float32; `Embedded.embed` computes in bfloat16, some 1e-5 of a cosine away.
"""

import json
import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from stages.common import artifacts, digests, networks
from stages.common.errors import InputError
from stages.foreign import graphs
from stages.foreign.published import TEMPLATE_PX

MEAN = STD = 127.5  # of what insightface, arcface_torch and others feed
LUMA = torch.tensor([9798, 19235, 3735]) / 2**15  # OpenCV's for uint8; float32 computes with them exactly
BUILT_FROM = ("architecture", "widths", "embedding_size", "size_px", "colour")  # in every recogniser's card
NETWORKS = "the folder of a recogniser: data/train/NAME/seed-SEED, data/pretrain/NAME"


class Exported(nn.Module):
    """A recogniser with everything that prepares its faces: (b, 3, side, side) to embeddings (b, d).

    crop: (height, side), which cuts the network's frame out of the faces, or None: they show that and no more.
    """

    crop: Tensor | None
    luma: Tensor

    def __init__(self, recogniser: networks.Embedded, crop: Tensor | None) -> None:
        """Hold the network."""
        super().__init__()
        self.net, self.colour = recogniser.net, recogniser.colour
        self.register_buffer("crop", crop)
        self.register_buffer("luma", LUMA)

    def forward(self, faces: Tensor) -> Tensor:
        """Return embeddings (b, d) of faces as recognition tools feed them."""
        pixels = faces * STD + MEAN
        if self.crop is not None:
            pixels = self.crop @ pixels @ self.crop.T
        pixels = pixels.round()  # to whole numbers, as the network was trained on
        if self.colour == "grey":
            pixels = (torch.einsum("bchw,c->bhw", pixels, self.luma) + 0.5).floor()[:, None]
        return self.net(networks.standardised(pixels.permute(0, 2, 3, 1), self.colour))


def cropping(recogniser: networks.Embedded, side_px: int) -> Tensor:
    """Return (height, side_px), the weights of a face's rows in those that the network sees.

    The face shows ArcFace's template of 112 px, as other tools cut it. Frames and their resizing are linear and treat
    rows as they treat columns, so faces that are white in one row show the weights of that row.
    """
    white = np.eye(side_px, dtype=np.float32)[:, :, None, None]  # (face, row, 1, 1)
    faces = np.broadcast_to(white, (side_px, side_px, side_px, 3))
    return torch.from_numpy(recogniser.frame.of(faces, TEMPLATE_PX)[:, :, 0, 0].T.copy())


def write(network: Path, out: Path, size_px: int | None) -> str:
    """Write the network and, beside it, its card; returns what the network takes and gives.

    size_px: of ArcFace's crops, which the graph then takes instead of the network's own.
    Raises InputError when a library or the network is missing, `out` has another name, or there is a card already.
    """
    if out.suffix != ".onnx":
        raise InputError(out, "another kind of file", allowed="NAME.onnx")
    if not Path(network, artifacts.CARD).is_file() or not Path(network, artifacts.WEIGHTS).is_file():
        raise InputError(network, "no network of ours", allowed=NETWORKS)
    card_file = out.with_name(artifacts.CARD)
    if card_file.exists():
        raise InputError(card_file, "exists already", allowed="a folder without a card")
    trained = artifacts.read_mapping(network / artifacts.CARD, *BUILT_FROM)
    recogniser = networks.load(network)
    card = {
        "colour": "rgb",
        "mean": MEAN,
        "std": STD,
        "frame_px": recogniser.frame.frame_px if size_px is None else TEMPLATE_PX,
        "size_px": size_px or recogniser.size_px,
        "embedding_size": recogniser.embedding_size,
        "graph_normalises": True,  # further, behind mean and std
    }
    crop = None if size_px is None else cropping(recogniser, size_px)
    program = exported(Exported(recogniser, crop), card["size_px"])
    described = {key: str(value) for key, value in card.items() if key != "graph_normalises"}
    program.model.metadata_props.update({**described, "licence": "none", "network": json.dumps(trained)})
    with artifacts.output_file(out) as fresh:
        program.save(fresh, external_data=False)
        artifacts.write_json(card_file, {**card, "sha256": digests.shared(fresh)})
    return f"a recogniser of {card['size_px']} px, embedding size {card['embedding_size']}"


def exported(net: nn.Module, side_px: int) -> Any:
    """Return torch's ONNX program of a recogniser's network, its batch free, without traces of this machine."""
    for name in ("onnx", "onnxscript"):
        graphs.library(name)
    from onnx_ir.passes.common import ClearMetadataAndDocStringPass

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it reports that torchvision is not there
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of torch about itself
        program = torch.onnx.export(
            net.eval(), (torch.zeros(2, 3, side_px, side_px),), dynamo=True, verbose=False,
            input_names=["faces"], output_names=["embeddings"], dynamic_shapes=({0: "batch"},),
        )  # fmt: skip
    assert program is not None
    ClearMetadataAndDocStringPass()(program.model)  # paths and lines of source
    return program
