"""The published sizes, by their parameters, tensors and keys: weights of arcface_torch fit by name and by shape."""

import re
from typing import Any

import pytest
import torch
from torch import nn

from stages.common import networks

WIDTHS = [64, 128, 256, 512]
NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def iresnet(*blocks: int, **options: Any) -> dict[str, Any]:
    return {"architecture": "iresnet", "widths": WIDTHS, "blocks": list(blocks), **options}


def mobilefacenet(widths: list[int], blocks: list[int], expansion: float) -> dict[str, Any]:
    return {"architecture": "mobilefacenet", "widths": widths, "blocks": blocks, "expansion": expansion}


def vit(width: int, blocks: int) -> dict[str, Any]:
    return {"architecture": "vit", "widths": [width], "blocks": [blocks], "heads": 8, "patch_px": 9}


MBF = mobilefacenet([128, 128, 256, 256], [1, 4, 6, 2], 1.0)
MBF_LARGE = mobilefacenet([256, 256, 512, 512], [2, 8, 12, 4], 0.5)
SIZES = {  # card, parameters, tensors
    "r18": (iresnet(2, 2, 2, 2), 24_025_600, 187),
    "r34": (iresnet(3, 4, 6, 3), 34_139_328, 331),
    "r50": (iresnet(3, 4, 14, 3), 43_590_848, 475),
    "r100": (iresnet(3, 13, 30, 3), 65_156_160, 925),
    "r200": (iresnet(6, 26, 60, 6), 118_833_920, 1807),
    # AdaFace's, and a shortcut and an output that have weights
    "ir_se_50": (iresnet(3, 4, 14, 3, squeeze_excitation=True), 43_808_320 + 5_248, 515 + 8),
    "mbf": (MBF, 2_059_520, 333),
    "mbf_large": (MBF_LARGE, 6_314_880, 606),
    "vit_t": (vit(256, 12), 19_137_792, 150),
    "vit_s": (vit(512, 12), 76_023_296, 150),
    "vit_b": (vit(512, 24), 113_833_472, 282),
}


def built(card: dict[str, Any]) -> nn.Module:
    with torch.device("meta"):  # no weights are drawn
        return networks.build({"embedding_size": 512, "size_px": 112, "colour": "rgb", **card})


@pytest.mark.parametrize("name", SIZES)
def test_parameters_and_tensors_are_as_published(name: str):
    card, parameters, tensors = SIZES[name]
    net = built(card)
    assert (sum(p.numel() for p in net.parameters()), len(net.state_dict())) == (parameters, tensors)


def keys(*layers: str, norms: tuple[str, ...] = (), linear: tuple[str, ...] = ()) -> set[str]:
    """Return keys: of layers one weight each, of linear ones an offset, too, of batch normalisations all they have."""
    with_offset = {f"{layer}.{end}" for layer in linear for end in ("weight", "bias")}
    return {f"{layer}.weight" for layer in layers} | with_offset | {f"{norm}.{end}" for norm in norms for end in NORM}


MBF_LAYERS = [
    "layers.#.layers.#", "layers.#.layers.#.layers.#", "layers.#.layers.#.layers.#.layers.#",
    "conv_sep.layers.#", "features.layers.#", "features.layers.#.layers.#",
]  # fmt: skip
KEYS = {  # every number as #
    "r18": keys(
        "conv#", "prelu", "layer#.#.conv#", "layer#.#.prelu", "layer#.#.downsample.#",
        norms=("bn#", "layer#.#.bn#", "layer#.#.downsample.#", "features"), linear=("fc",),
    ),
    "mbf": keys(*MBF_LAYERS, norms=tuple(MBF_LAYERS)),
    "vit_t": keys(
        "blocks.#.attn.qkv", "feature.#", norms=("feature.#",),
        linear=("patch_embed.proj", "blocks.#.norm#", "blocks.#.attn.proj", "blocks.#.mlp.fc#", "norm"),
    ) | {"pos_embed", "mask_token"},
}  # fmt: skip
SHAPES = {
    "r18": {
        "conv1.weight": (64, 3, 3, 3), "layer1.0.downsample.0.weight": (64, 64, 1, 1), "layer1.1.prelu.weight": (64,),
        "layer2.0.conv1.weight": (128, 64, 3, 3), "layer2.0.bn1.weight": (64,), "layer4.1.bn3.running_var": (512,),
        "fc.weight": (512, 25_088), "features.bias": (512,),
    },
    "mbf": {
        "layers.0.layers.0.weight": (128, 3, 3, 3), "layers.1.layers.0.weight": (128, 2, 3, 3),
        "layers.3.layers.3.layers.1.layers.0.weight": (128, 1, 3, 3),
        "layers.4.layers.0.layers.0.weight": (256, 128, 1, 1), "layers.6.layers.2.layers.0.weight": (256, 512, 1, 1),
        "layers.7.layers.1.layers.2.layers.1.bias": (256,),
        "conv_sep.layers.0.weight": (512, 256, 1, 1), "features.layers.0.layers.0.weight": (512, 1, 7, 7),
        "features.layers.2.weight": (512, 512), "features.layers.3.running_mean": (512,),
    },
    "mbf_large": {
        "layers.1.layers.1.layers.1.layers.2.weight": (128,), "layers.2.layers.0.layers.0.weight": (128, 256, 1, 1),
        "layers.6.layers.2.layers.0.weight": (512, 512, 1, 1), "conv_sep.layers.0.weight": (512, 512, 1, 1),
    },
    "vit_t": {
        "pos_embed": (1, 144, 256), "mask_token": (1, 1, 256), "patch_embed.proj.weight": (256, 3, 9, 9),
        "blocks.11.attn.qkv.weight": (768, 256), "blocks.0.mlp.fc1.weight": (1024, 256), "norm.bias": (256,),
        "feature.0.weight": (256, 144 * 256), "feature.2.weight": (512, 256), "feature.3.running_var": (512,),
    },
}  # fmt: skip


@pytest.mark.parametrize("name", KEYS)
def test_keys_are_those_of_arcface_torch(name: str):
    net = built(SIZES[name][0])
    assert {re.sub(r"\d+", "#", key) for key in net.state_dict()} == KEYS[name]


@pytest.mark.parametrize("name", SHAPES)
def test_tensors_have_the_shapes_of_arcface_torch(name: str):
    tensors = built(SIZES[name][0]).state_dict()
    assert {key: tuple(tensors[key].shape) for key in SHAPES[name]} == SHAPES[name]


def test_the_paper_s_mobilefacenet_has_0_99_million_parameters():
    """As it is used: each normalisation is one offset a channel, its gain folded into the convolution before it."""
    net = built({**mobilefacenet([64, 64, 128, 128], [1, 4, 6, 2], 2.0), "embedding_size": 128})
    gains = sum(m.num_features for m in net.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d))
    assert sum(p.numel() for p in net.parameters()) - gains == pytest.approx(0.99e6, rel=0.005)


LAST = {
    "r18": ("fc.weight", 2), "mbf": ("features.layers.2.weight", 2), "vit_t": ("feature.0.weight", 4),
}  # fmt: skip  # of vit: from all tokens to the length of one


@pytest.mark.parametrize("name", LAST)
def test_twice_the_width_scales_the_last_linear_layer_too(name: str):
    """With the layers before it: a study of widths is not one of a last layer that stays."""
    card, (last, factor) = SIZES[name][0], LAST[name]
    narrow, wide = (built({**card, "widths": [n * width for width in card["widths"]]}) for n in (1, 2))
    assert wide.get_parameter(last).numel() == factor * narrow.get_parameter(last).numel()
    sizes = [dict(net.named_parameters()) for net in (narrow, wide)]
    assert all(p.numel() > sizes[0][key].numel() for key, p in sizes[1].items() if key.startswith(("layer", "blocks")))
