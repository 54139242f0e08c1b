"""ONNX graphs of other people: what they take, give and need beside them, found out where they can do no harm.

`examine` reads a graph and runs it once in a process of its own (`bounded`); what it returns is what stages rely on.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from stages.foreign import bounded
from stages.foreign.bounded import Refused

LOOPS = ("Loop", "Scan", "SequenceMap")  # what they cost is known only when a face is seen
ARITHMETIC = {"Sub", "Add", "Mul", "Div", "BatchNormalization"}
PASSING = {
    "Cast", "Clip", "Concat", "Gather", "Identity", "Pad", "Reshape", "Resize", "Slice", "Split", "Squeeze",
    "Transpose", "Unsqueeze",
}  # fmt: skip
KINDS = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


@dataclass(frozen=True)
class Graph:
    """A recogniser's graph: its input's and output's names, faces a call (None: free), size, and size of a row.

    arithmetic: with constants, that it does on its image before anything else; beside: files that hold its weights.
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
    """Return what a recogniser's graph is; size: of its input where the graph leaves it free.

    Raises ValueError with one line when a library is missing, when the file is no graph or needs files that do not lie
    beside it, when it loops, takes more time or memory than its size allows, or is not one of images to rows.
    """
    for name in ("onnx", "onnxruntime"):
        library(name)
    return Graph(**bounded.ask("stages.foreign.graphs", file, "graph", *(size or ())))


def loaded(file: Path) -> None:
    """Raise ValueError when any graph, such as a detector's, has weights elsewhere or a loop, or does not load."""
    bounded.ask("stages.foreign.graphs", file, "load")


def library(name: str) -> Any:
    """Return a library of published networks; raises ValueError saying how to install it."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise ValueError(f"{name} is not installed; pip install -e '.[published]' brings it") from error


def header(file: Path) -> dict[str, Any]:
    """Return, without running a graph, `beside`, the files of its weights, and `embedding_size`, None where it is free.

    Raises ValueError as `examine` does.
    """
    library("onnx")
    return bounded.ask("stages.foreign.graphs", file, "header")


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
            raise Refused(f"keeps weights in {name[:80]!r}; allowed: in itself, or in files that lie beside it")
    return sorted(names)


def messages(message: Any) -> Iterator[Any]:
    """Yield a protobuf message and all that it holds: graphs, nodes, attributes, functions, tensors."""
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
    options.log_severity_level = 4  # what it would print is raised, too
    return ort.InferenceSession(str(file), options, providers=list(providers))


def rows(result: np.ndarray, faces: int) -> np.ndarray:
    """Return a graph's output, (b, d) or (b, d, 1, 1), as rows (b, d) float32; raises ValueError for another shape."""
    found = result[:, :, 0, 0] if result.ndim == 4 and result.shape[2:] == (1, 1) else result
    if found.ndim != 2 or len(found) != faces:
        raise ValueError(f"gives {result.shape} for {faces} faces; allowed: one row a face")
    return found.astype(np.float32)


def reason(error: Exception) -> str:
    """Return what onnxruntime means, without its code, the path and the place in its source that stand before."""
    said = " ".join(str(error).split())
    before = r"^\[ONNXRuntimeError\] : \d+ : \w+ : (Load model from .*? failed:)?(\S+:\d+ .*?\) (?=[A-Z]))?"
    return re.sub(before, "", said)[:200]


def arithmetic_first(graph: Any) -> list[str]:
    """Return the arithmetic with constants that a graph does on its image before anything else, in order.

    Follows the image from the input through whatever only moves or casts it; the names of nodes do not matter.
    """
    onnx = library("onnx")
    constant = {tensor.name: tensor for tensor in graph.initializer}
    reached = {value.name for value in graph.input} - set(constant)
    found = []
    for node in graph.node:  # sorted: a node stands after those that it reads
        inputs = [name for name in node.input if name]
        others = [name for name in inputs if name not in reached]
        if all(name in constant for name in inputs):  # a constant, also without inputs
            value = next((a.t for a in node.attribute if a.name == "value"), None)
            constant |= {name: value or constant.get(inputs[0] if inputs else "") for name in node.output}
        elif node.op_type in PASSING and len(others) < len(inputs):
            reached |= set(node.output)
        elif node.op_type in ARITHMETIC and len(others) < len(inputs) and all(name in constant for name in others):
            found.append(_described(onnx, node.op_type, [constant[name] for name in others]))
            reached |= set(node.output)
    return found


def _described(onnx: Any, op: str, tensors: list[Any]) -> str:
    if len(tensors) != 1 or tensors[0] is None or tensors[0].data_location == onnx.TensorProto.EXTERNAL:
        return op
    values = onnx.numpy_helper.to_array(tensors[0]).ravel()[:3]
    return f"{op} {' '.join(f'{value:g}' for value in values.astype(float))}"


def _look(file: Path, what: str, *size: str) -> dict[str, Any]:
    model = parsed(file)
    names = beside(file, model)
    if names:
        bounded.limit(sum(file.with_name(name).stat().st_size for name in [file.name, *names]))
    if what == "header":
        return {"beside": names, "embedding_size": _declared(model.graph)}
    for message in messages(model):
        if message.DESCRIPTOR.name == "NodeProto" and message.op_type in LOOPS:
            raise Refused(f"has a {message.op_type}; allowed: graphs that do as much for every face")
    if what == "load":
        if names:
            raise Refused(f"keeps weights in {names[0]}; allowed: one file (onnx.save(onnx.load(OLD), NEW))")
        del model
        _made(file)
        return {}
    arithmetic = arithmetic_first(model.graph)
    del model  # it may be a large one
    return {**_run(file, tuple(map(int, size))), "arithmetic": arithmetic, "beside": names}


def _declared(graph: Any) -> int | None:
    shapes = [[side.dim_value for side in value.type.tensor_type.shape.dim] for value in graph.output]
    sizes = {shape[1] for shape in shapes if len(shape) in (2, 4) and shape[1] > 1 and shape[2:] in ([], [1, 1])}
    return sizes.pop() if len(sizes) == 1 else None


def _made(file: Path) -> Any:
    try:
        return session(file)
    except Exception as error:  # onnxruntime's own kinds have no common base but this
        raise _refused("not a network that onnxruntime runs", error) from error


def _run(file: Path, size: tuple[int, ...]) -> dict[str, Any]:
    made = _made(file)
    name, kind, batch, height, width = _input(made, size)
    output = _output(made)

    def rows_of(x: np.ndarray) -> np.ndarray:
        try:
            found = rows(made.run([output], {name: x.astype(KINDS[kind])})[0], len(x))
        except Exception as error:  # as above, and ours
            raise _refused(f"does not run on faces {x.shape}", error) from error
        if not np.isfinite(found).all():
            raise Refused("gives NaN or infinity for a blank face; allowed: finite rows")
        return found

    x = np.random.default_rng(0).random((batch or 2, 3, height, width), np.float32)
    x[0] = 0
    alone = rows_of(x[: batch or 1])
    if batch is None and not _same(rows_of, x, alone):
        batch = 1
    return {
        "input": name, "output": output, "kind": kind, "batch": batch, "height": height, "width": width,
        "embedding_size": alone.shape[1],
    }  # fmt: skip


def _refused(what: str, error: Exception) -> Exception:
    no_memory = re.search(r"bad.?alloc|AllocateRaw|allocate memory", str(error))
    return MemoryError() if no_memory else Refused(f"{what}: {reason(error)}")


def _same(rows_of: Callable[[np.ndarray], np.ndarray], x: np.ndarray, alone: np.ndarray) -> bool:
    """Return whether the first of two faces has the row that it has alone: a batch that is called free may not be."""
    try:
        together = rows_of(x)[:1]
    except Refused:
        return False
    return together.shape == alone.shape and np.allclose(together, alone, rtol=1e-2, atol=1e-3 * np.abs(alone).max())


def _input(made: Any, size: tuple[int, ...]) -> tuple[str, str, int | None, int, int]:
    """Return the input's name, kind, batch (None: free), height and width."""
    inputs = made.get_inputs()
    shape = [side if isinstance(side, int) and side > 0 else None for side in inputs[0].shape]  # None or a name: free
    if len(inputs) != 1 or len(shape) != 4 or shape[1] not in (3, None):
        found = ", ".join(f"{i.name} {i.shape}" for i in inputs[:3])
        raise Refused(f"inputs {found}; allowed: exactly one of shape (N, 3, h, w)")
    height, width = (
        side or other or (size[i] if size else None) for i, (side, other) in enumerate([shape[2:], shape[:1:-1]])
    )
    if height is None or width is None:
        raise Refused(f"the side of its input is free, {inputs[0].shape}; allowed: with size_px in its card")
    if inputs[0].type not in KINDS:
        raise Refused(f"the input is a {inputs[0].type}; allowed: {', '.join(KINDS)}")
    return inputs[0].name, inputs[0].type, shape[0], height, width


def _output(made: Any) -> str:
    """Return the name of the one output that can be rows of embeddings; a column of norms beside it is none."""
    outputs = made.get_outputs()
    found = [o.name for o in outputs if len(o.shape) in (2, 4) and o.shape[1] != 1 and o.shape[2:] in ([], [1, 1])]
    if len(found) != 1:
        said = ", ".join(f"{o.name} {o.shape}" for o in outputs[:3])
        raise Refused(f"outputs {said}; allowed: exactly one of shape (N, d)")
    return found[0]


if __name__ == "__main__":
    for needed in ("onnx", "onnxruntime"):
        library(needed)  # before the time is taken
    bounded.answer(_look, "ONNX file")
