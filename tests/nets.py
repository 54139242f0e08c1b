"""Published networks at tiny sizes with random weights, written in the layouts in which they are published."""

import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn
from torch.nn import functional

WIDTHS, BLOCKS, SIDE_PX, D = (8, 12, 16, 20), (2, 1, 3, 1), 32, 24
CARD = {"colour": "rgb", "mean": 127.5, "std": 127.5}


def write_card(file: Path, **changes: Any) -> Path:
    """Write a card."""
    file.write_text(json.dumps({**CARD, **changes}))
    return file


def adaface(se: bool = False, seed: int = 0, widths: Sequence[int] = WIDTHS) -> dict[str, Tensor]:
    """Return the tensors of an AdaFace backbone by its own keys, all of them random."""
    rng = torch.Generator().manual_seed(seed)
    tensors: dict[str, Tensor] = {}

    def conv(key: str, out: int, into: int, side: int) -> None:
        tensors[f"{key}.weight"] = torch.randn(out, into, side, side, generator=rng) / (into * side**2) ** 0.5

    def norm(key: str, width: int, gain: bool = True) -> None:
        if gain:
            tensors[f"{key}.weight"] = 1 + 0.2 * torch.randn(width, generator=rng)
            tensors[f"{key}.bias"] = 0.2 * torch.randn(width, generator=rng)
        tensors[f"{key}.running_mean"] = 0.2 * torch.randn(width, generator=rng)
        tensors[f"{key}.running_var"] = 0.5 + torch.rand(width, generator=rng)
        tensors[f"{key}.num_batches_tracked"] = torch.tensor(7)

    conv("input_layer.0", widths[0], 3, 3)
    norm("input_layer.1", widths[0])
    tensors["input_layer.2.weight"] = torch.full((widths[0],), 0.3)
    n, before = 0, widths[0]
    for width, blocks in zip(widths, BLOCKS, strict=True):
        for _ in range(blocks):
            block = f"body.{n}."
            if before != width:
                conv(f"{block}shortcut_layer.0", width, before, 1)
                norm(f"{block}shortcut_layer.1", width)
            norm(f"{block}res_layer.0", before)
            conv(f"{block}res_layer.1", width, before, 3)
            norm(f"{block}res_layer.2", width)
            tensors[f"{block}res_layer.3.weight"] = 0.25 + 0.1 * torch.randn(width, generator=rng)
            conv(f"{block}res_layer.4", width, width, 3)
            norm(f"{block}res_layer.5", width)
            if se:
                conv(f"{block}res_layer.se_block.fc1", max(1, width // 16), width, 1)
                conv(f"{block}res_layer.se_block.fc2", width, max(1, width // 16), 1)
            n, before = n + 1, width
    norm("output_layer.0", widths[-1])
    tensors["output_layer.3.weight"] = torch.randn(D, widths[-1] * (SIDE_PX // 16) ** 2, generator=rng) / 5
    tensors["output_layer.3.bias"] = torch.randn(D, generator=rng)
    norm("output_layer.4", D, gain=False)
    return tensors


def adaface_rows(t: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """Return the un-normalised rows of prepared faces, computed from AdaFace's keys alone: a reference."""

    def norm(x: Tensor, key: str) -> Tensor:
        gain = (t.get(f"{key}.weight"), t.get(f"{key}.bias"))
        return functional.batch_norm(x, t[f"{key}.running_mean"], t[f"{key}.running_var"], *gain)

    x = functional.prelu(
        norm(functional.conv2d(x, t["input_layer.0.weight"], padding=1), "input_layer.1"), t["input_layer.2.weight"]
    )
    for n in range(sum(BLOCKS)):
        block, stride = f"body.{n}.", 2 if n in np.cumsum((0, *BLOCKS)) else 1
        branch = functional.conv2d(norm(x, f"{block}res_layer.0"), t[f"{block}res_layer.1.weight"], padding=1)
        branch = functional.prelu(norm(branch, f"{block}res_layer.2"), t[f"{block}res_layer.3.weight"])
        branch = norm(
            functional.conv2d(branch, t[f"{block}res_layer.4.weight"], stride=stride, padding=1), f"{block}res_layer.5"
        )
        if f"{block}res_layer.se_block.fc1.weight" in t:
            weight = functional.conv2d(
                functional.adaptive_avg_pool2d(branch, 1), t[f"{block}res_layer.se_block.fc1.weight"]
            ).relu()
            branch = branch * functional.conv2d(weight, t[f"{block}res_layer.se_block.fc2.weight"]).sigmoid()
        if f"{block}shortcut_layer.0.weight" in t:
            x = norm(
                functional.conv2d(x, t[f"{block}shortcut_layer.0.weight"], stride=stride), f"{block}shortcut_layer.1"
            )
        else:
            x = functional.max_pool2d(x, 1, stride)
        x = branch + x
    x = functional.linear(norm(x, "output_layer.0").flatten(1), t["output_layer.3.weight"], t["output_layer.3.bias"])
    return norm(x, "output_layer.4")


def write_onnx(
    file: Path, *, batch: int | str = "N", sides: Sequence[int | str] = (SIDE_PX, SIDE_PX), first: Sequence[Any] = (),
    outputs: Sequence[str] = ("rows",), d: int = D, channels: int = 3, seed: int = 0,
) -> Path:  # fmt: skip
    """Write a convolution, a pooling and a linear layer; `first` are (operator, constant) applied to the image before.

    outputs: which of the graph's values go out: rows (N, d), again (N, d), norm (N, 1), map (N, 8, s / 4, s / 4).
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    shapes = {"kernel": (8, channels, 8, 8), "gain": (8, d), "offset": (d,)}
    weights = {name: rng.normal(size=shape).astype(np.float32) / 8 for name, shape in shapes.items()}
    nodes, value = [], "image"
    for i, (operator, constant) in enumerate(first):
        weights[f"c{i}"] = np.array(constant, np.float32)
        nodes.append(helper.make_node(operator, [value, f"c{i}"] if constant is not None else [value], [f"v{i}"]))
        value = f"v{i}"
    nodes += [
        helper.make_node("Conv", [value, "kernel"], ["c"], kernel_shape=[8, 8], strides=[4, 4], pads=[2, 2, 2, 2]),
        helper.make_node("Relu", ["c"], ["map"]),
        helper.make_node("GlobalAveragePool", ["map"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Gemm", ["flat", "gain", "offset"], ["rows"]),
        helper.make_node("Identity", ["rows"], ["again"]),
        helper.make_node("ReduceL2", ["rows"], ["norm"], axes=[1]),
    ]
    sizes = {"rows": (batch, d), "again": (batch, d), "norm": (batch, 1), "map": (batch, 8, None, None)}
    constants = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = helper.make_graph(
        nodes, "recogniser", [helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, channels, *sides])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, sizes[name]) for name in outputs], constants,
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), file)
    return file


def export(net: nn.Module, file: Path, side_px: int) -> Path:
    """Write a torch network as ONNX, its batch free."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the exporter that needs no further library
        free = {"image": {0: "N"}, "rows": {0: "N"}}
        example = (torch.zeros(2, 3, side_px, side_px),)
        torch.onnx.export(
            net.eval(), example, str(file), dynamo=False, input_names=["image"], output_names=["rows"],
            dynamic_axes=free,
        )  # fmt: skip
    return file
