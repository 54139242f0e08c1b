"""ONNX graphs of other people: their inputs, outputs and files of weights, looked up where they can do no harm.

`examine` reads a graph and runs it once in a process of its own (`bounded`). Stages rely on what it returns.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from stages.common.errors import InputError
from stages.foreign import bounded
from stages.foreign.bounded import Refused

LOOPS = ("Loop", "Scan", "SequenceMap")  # how long they run may depend on the face
ARITHMETIC = {"Sub", "Add", "Mul", "Div", "BatchNormalization"}
PASSING = {
    "Cast", "Clip", "Concat", "Gather", "Identity", "Pad", "Reshape", "Resize", "Slice", "Split", "Squeeze",
    "Transpose", "Unsqueeze",
}  # fmt: skip
KINDS = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


@dataclass(frozen=True)
class Graph:
    """A recogniser's graph: names of input and output, faces in a call (None: any number), their size, that of a row.

    arithmetic: what it does to its image first, with constants; beside: files beside it that hold its weights.
    """

    input: str
    output: str
    kind: str
    batch: int | None
    height: int
    width: int
    embedding_size: int
    arithmetic: list[str]
    beside: list[str]


def examine(file: Path, size: tuple[int, int] | None = None) -> Graph:
    """Return the description of a recogniser's graph; size: height and width of its input where the graph has none.

    Raises InputError when a library is missing, when the file is no graph or needs files that do not lie beside it,
    when it loops, takes more time or memory than its size allows, or does not map images to rows.
    """
    for name in ("onnx", "onnxruntime"):
        library(name)
    return Graph(**bounded.run("stages.foreign.graphs", file, "graph", *(size or ())))


def loaded(file: Path) -> None:
    """Raise InputError when any graph, such as a detector's, has weights elsewhere or a loop, or does not load."""
    bounded.run("stages.foreign.graphs", file, "load")


def library(name: str) -> Any:
    """Return a library of published networks; raises InputError that says how to install it."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise InputError(None, f"{name} is not installed; pip install -e '.[published]' brings it") from error


def header(file: Path) -> dict[str, Any]:
    """Return, without running a graph, `beside`, the files of its weights, and `embedding_size`, None if it is free.

    Raises InputError as `examine` does.
    """
    library("onnx")
    return bounded.run("stages.foreign.graphs", file, "header")


def parsed(file: Path) -> Any:
    """Return a graph's protobuf message, without the weights that lie in other files."""
    return library("onnx").load(str(file), load_external_data=False)


def beside(file: Path, model: Any) -> list[str]:
    """Return the names of the files that hold tensors of a model, wherever in it they stand.

    Raises Refused when one does not lie in the folder of the graph.
    """
    names = set()
    for message in messages(model):
        if message.DESCRIPTOR.name == "TensorProto" and message.data_location == message.EXTERNAL:
            names |= {entry.value for entry in message.external_data if entry.key == "location"} or {""}
    for name in sorted(names):
        part = file.with_name(name) if name and Path(name).name == name else None
        if part is None or part.is_symlink() or not part.is_file():
            raise Refused(f"keeps weights in {name[:80]!r}", "in itself, or in files that lie beside it")
    return sorted(names)


def messages(message: Any) -> Iterator[Any]:
    """Yield a protobuf message and all messages in it: graphs, nodes, attributes, functions, tensors."""
    yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for inner in value if hasattr(value, "__len__") else [value]:  # repeated, or single
                yield from messages(inner)


def session(file: Path, providers: Sequence[Any] = ("CPUExecutionProvider",)) -> Any:
    """Return an onnxruntime session of one thread, on the CPU or where `devices.providers` says."""
    ort = library("onnxruntime")
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    options.log_severity_level = 4  # it raises what it would print
    return ort.InferenceSession(str(file), options, providers=list(providers))


def rows(result: np.ndarray, faces: int) -> np.ndarray:
    """Return a graph's output, (b, d) or (b, d, 1, 1), as rows (b, d) float32; raises InputError for another shape."""
    x = result[:, :, 0, 0] if result.ndim == 4 and result.shape[2:] == (1, 1) else result
    if x.ndim != 2 or len(x) != faces:
        raise InputError(None, f"gives {result.shape} for {faces} faces", allowed="one row for each face")
    return x.astype(np.float32)


def reason(error: Exception) -> str:
    """Return the message of onnxruntime, without the code, the path and the place in its source that precede it."""
    message = " ".join(str(error).split())
    before = r"^\[ONNXRuntimeError\] : \d+ : \w+ : (Load model from .*? failed:)?(\S+:\d+ .*?\) (?=[A-Z]))?"
    return re.sub(before, "", message)[:200]


def arithmetic_first(graph: Any) -> list[str]:
    """Return the arithmetic with constants that a graph does on its image before anything else, in order.

    Follows the image from the input through nodes that only move or cast it, whatever these are called.
    """
    onnx = library("onnx")
    constant = {tensor.name: tensor for tensor in graph.initializer}
    image = {value.name for value in graph.input} - set(constant)  # values that are the image, moved or changed
    arithmetic = []
    for node in graph.node:  # sorted: a node stands after those that it reads
        inputs = [name for name in node.input if name]
        operands = [name for name in inputs if name not in image]
        if all(name in constant for name in inputs):  # a constant, also without inputs
            value = next((a.t for a in node.attribute if a.name == "value"), None)
            constant |= {name: value or constant.get(inputs[0] if inputs else "") for name in node.output}
        elif node.op_type in PASSING and len(operands) < len(inputs):
            image |= set(node.output)
        elif node.op_type in ARITHMETIC and len(operands) < len(inputs) and all(name in constant for name in operands):
            arithmetic.append(_described(onnx, node.op_type, [constant[name] for name in operands]))
            image |= set(node.output)
    return arithmetic


def _described(onnx: Any, op: str, tensors: list[Any]) -> str:
    if len(tensors) != 1 or tensors[0] is None or tensors[0].data_location == onnx.TensorProto.EXTERNAL:
        return op
    values = onnx.numpy_helper.to_array(tensors[0]).ravel()[:3]
    return f"{op} {' '.join(f'{value:g}' for value in values.astype(float))}"


def _look(file: Path, task: str, *size: str) -> dict[str, Any]:
    """Read the `header` of a graph, `load` it, or describe the whole `graph`."""
    model = parsed(file)
    names = beside(file, model)
    if names:
        bounded.limit(sum(file.with_name(name).stat().st_size for name in [file.name, *names]))
    if task == "header":
        return {"beside": names, "embedding_size": _declared(model.graph)}
    for message in messages(model):
        if message.DESCRIPTOR.name == "NodeProto" and message.op_type in LOOPS:
            raise Refused(f"has a {message.op_type}", "graphs that do as much for every face")
    if task == "load":
        if names:
            raise Refused(f"keeps weights in {names[0]}", "one file (onnx.save(onnx.load(OLD), NEW))")
        del model
        _session(file)
        return {}
    arithmetic = arithmetic_first(model.graph)
    del model  # it may be large
    return {**_run(file, tuple(map(int, size))), "arithmetic": arithmetic, "beside": names}


def _declared(graph: Any) -> int | None:
    shapes = [[side.dim_value for side in value.type.tensor_type.shape.dim] for value in graph.output]
    sizes = {shape[1] for shape in shapes if len(shape) in (2, 4) and shape[1] > 1 and shape[2:] in ([], [1, 1])}
    return sizes.pop() if len(sizes) == 1 else None


def _session(file: Path) -> Any:
    try:
        return session(file)
    except Exception as error:  # onnxruntime's own kinds have no common base but this
        raise _refused("not a network that onnxruntime runs", error) from error


def _run(file: Path, size: tuple[int, ...]) -> dict[str, Any]:
    network = _session(file)
    name, kind, batch, height, width = _input(network, size)
    output = _output(network)

    def rows_of(x: np.ndarray) -> np.ndarray:
        try:
            y = rows(network.run([output], {name: x.astype(KINDS[kind])})[0], len(x))
        except Exception as error:  # as above, and that of `rows`
            raise _refused(f"does not run on faces {x.shape}", error) from error
        if not np.isfinite(y).all():
            raise Refused("gives NaN or infinity for a blank face", "finite rows")
        return y

    x = np.random.default_rng(0).random((batch or 2, 3, height, width), np.float32)
    x[0] = 0
    alone = rows_of(x[: batch or 1])
    if batch is None and not _same(rows_of, x, alone):
        batch = 1
    return {
        "input": name, "output": output, "kind": kind, "batch": batch, "height": height, "width": width,
        "embedding_size": alone.shape[1],
    }  # fmt: skip


def _refused(problem: str, error: Exception) -> Exception:
    if isinstance(error, InputError):
        return Refused(f"{problem}: {error.problem}", error.allowed)
    no_memory = re.search(r"bad.?alloc|AllocateRaw|allocate memory", str(error))
    return MemoryError() if no_memory else Refused(f"{problem}: {reason(error)}")


def _same(rows_of: Callable[[np.ndarray], np.ndarray], x: np.ndarray, alone: np.ndarray) -> bool:
    """Return whether the first of two faces has the row that it has alone; graphs may wrongly declare a free batch."""
    try:
        together = rows_of(x)[:1]
    except Refused:
        return False
    return together.shape == alone.shape and np.allclose(together, alone, rtol=1e-2, atol=1e-3 * np.abs(alone).max())


def _input(network: Any, size: tuple[int, ...]) -> tuple[str, str, int | None, int, int]:
    """Return the input's name, kind, batch (None: free), height and width."""
    inputs = network.get_inputs()
    shape = [side if isinstance(side, int) and side > 0 else None for side in inputs[0].shape]  # None or a name: free
    if len(inputs) != 1 or len(shape) != 4 or shape[1] not in (3, None):
        raise Refused(f"inputs {_shapes(inputs)}", "exactly one of shape (N, 3, h, w)")
    by_card = size or (None, None)
    height, width = shape[2] or shape[3] or by_card[0], shape[3] or shape[2] or by_card[1]
    if height is None or width is None:
        raise Refused(f"the side of its input is free, {inputs[0].shape}", "with size_px in its card")
    if inputs[0].type not in KINDS:
        raise Refused(f"the input is a {inputs[0].type}", ", ".join(KINDS))
    return inputs[0].name, inputs[0].type, shape[0], height, width


def _output(network: Any) -> str:
    """Return the name of the one output that can be rows of embeddings; a column of norms beside it cannot."""
    outputs = network.get_outputs()
    names = [o.name for o in outputs if len(o.shape) in (2, 4) and o.shape[1] != 1 and o.shape[2:] in ([], [1, 1])]
    if len(names) != 1:
        raise Refused(f"outputs {_shapes(outputs)}", "exactly one of shape (N, d)")
    return names[0]


def _shapes(nodes: Sequence[Any]) -> str:
    return ", ".join(f"{node.name} {node.shape}" for node in nodes[:3])


if __name__ == "__main__":
    for name in ("onnx", "onnxruntime"):
        library(name)  # before the time is limited
    bounded.main(_look, "ONNX file")
