"""A face detector with SCRFD's nine outputs that finds white squares, for tests of what is done with its points."""

from pathlib import Path

import numpy as np

SIDE_PX, STRIDE = 128, 32  # of the input, and of the grid whose white cells are faces
# of the five points from a face's corner, pixels of the input: a face turned by 90 degrees
POINTS = np.array([[20, 4], [20, 28], [8, 16], [-2, 6], [-2, 26]], np.float32)


def write(file: Path, outputs: int = 9) -> Path:
    """Write the detector; the brighter a cell of the grid, the larger its box."""
    from onnx import TensorProto, checker, helper, numpy_helper

    nodes, names = [], []
    constants = {
        "flat": np.array([-1, 1], np.int64),
        "nothing": np.zeros((1, 1), np.float32),
        "box": np.full((1, 4), 1.0, np.float32),
        "points": POINTS.reshape(1, 10) / STRIDE,
    }
    for stride in (8, 16, 32):
        s = str(stride)
        nodes += [
            helper.make_node("ReduceMean", ["image"], [f"grey{s}"], axes=[1], keepdims=1),
            helper.make_node(
                "AveragePool", [f"grey{s}"], [f"pool{s}"], kernel_shape=[stride] * 2, strides=[stride] * 2
            ),
            helper.make_node("Reshape", [f"pool{s}", "flat"], [f"cell{s}"]),
            helper.make_node("Concat", [f"cell{s}", f"cell{s}"], [f"two{s}"], axis=1),  # two anchors a cell
            helper.make_node("Reshape", [f"two{s}", "flat"], [f"bright{s}"]),
            helper.make_node("Mul", [f"bright{s}", "nothing"], [f"zero{s}"]),
            helper.make_node("Identity", [f"bright{s}" if stride == STRIDE else f"zero{s}"], [f"score{s}"]),
            helper.make_node("Mul", [f"bright{s}", "box"], [f"box{s}"]),
            helper.make_node("Add", [f"zero{s}", "points"], [f"points{s}"]),
        ]
    names = [f"{kind}{s}" for kind in ("score", "box", "points") for s in (8, 16, 32)][:outputs]
    shapes = {"score": 1, "box": 4, "points": 10}
    graph = helper.make_graph(
        nodes, "white_squares",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, SIDE_PX, SIDE_PX])],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, [None, shapes[n.rstrip("0123456789")]]) for n in names],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    checker.check_model(model)
    file.write_bytes(model.SerializeToString())
    return file


def picture(side_px: int, column: int | None, row: int = 1, grey: int = 255) -> np.ndarray:
    """Return a dark picture (side_px, side_px, 3) with a face at a cell of the grid of four by four, or none."""
    made = np.full((side_px, side_px, 3), 20, np.uint8)
    if column is not None:
        cell = side_px // 4
        made[row * cell : (row + 1) * cell, column * cell : (column + 1) * cell] = grey
    return made
