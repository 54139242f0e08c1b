"""Any ONNX network (N, 3, s, s) -> (N, d): the recognisers of antelopev2 and buffalo, Arc2Face's, one's own.

Runs on onnxruntime: on CUDA where the installed one offers it, else on the CPU with one thread. CoreML is left out: it
computes in half precision on some machines and in single on others.
"""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from stages.recognisers import published
from stages.recognisers.published import Card, Published

CHUNK, CHUNK_CUDA = 16, 128  # faces a call where the network leaves the batch free
ARITHMETIC = {"Sub", "Add", "Mul", "Div", "BatchNormalization"}
PASSING = {
    "Cast", "Clip", "Concat", "Gather", "Identity", "Pad", "Reshape", "Resize", "Slice", "Split", "Squeeze",
    "Transpose", "Unsqueeze",
}  # fmt: skip


def load(file: str | Path, card_file: str | Path) -> Published:
    """Return the recogniser in `file`, prepared as the card says.

    Raises ValueError with one line when a library is missing, when the file is not a network of one square image input
    and one output of rows, when its sizes are not the card's, or when both it and the card normalise.
    """
    card = published.read(file, card_file)
    _check_graph(file, card_file, card)
    session = _session(file)
    name, batch, size_px = _input(file, card, session)
    output, kind = _output(file, session), _dtype(file, session)
    card.check(file, size_px=size_px)
    free = CHUNK_CUDA if "CUDAExecutionProvider" in session.get_providers() else CHUNK

    def run(x: np.ndarray) -> np.ndarray:
        return _run(file, session, name, output, x.astype(kind))

    d = _probe(file, run, batch or 2, size_px)
    card.check(file, embedding_size=d)
    return Published(card, size_px, d, batch or free, run)


def _library(name: str) -> Any:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise ValueError(f"{name} is not installed; pip install -e '.[published]' brings it") from error


def _session(file: str | Path) -> Any:
    ort = _library("onnxruntime")
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    options.log_severity_level = 3
    cuda = ("CUDAExecutionProvider", {"use_tf32": "0", "cudnn_conv_algo_search": "DEFAULT"})
    chosen = [cuda] if cuda[0] in ort.get_available_providers() else []
    try:
        return ort.InferenceSession(str(file), options, providers=[*chosen, "CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own kinds have no common base but this
        raise ValueError(f"{file}: not a network that onnxruntime runs: {_short(error)}") from error


def _input(file: str | Path, card: Card, session: Any) -> tuple[str, int | None, int]:
    """Return the input's name, its batch (None: free) and its side."""
    inputs = session.get_inputs()
    shape = [side if isinstance(side, int) else None for side in inputs[0].shape]  # None or a name: free
    known = set(shape[2:]) - {None}
    if len(inputs) != 1 or len(shape) != 4 or shape[1] not in (3, None) or len(known) > 1:
        found = ", ".join(f"{i.name} {i.shape}" for i in inputs)
        raise ValueError(f"{file}: inputs {found}; allowed: exactly one of shape (N, 3, s, s)")
    size_px = known.pop() if known else card.size_px
    if size_px is None:
        raise ValueError(f"{file}: the side of its input is free, {inputs[0].shape}; allowed: with size_px in its card")
    return inputs[0].name, shape[0], size_px


def _dtype(file: str | Path, session: Any) -> type:
    kinds = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
    kind = session.get_inputs()[0].type
    if kind not in kinds:
        raise ValueError(f"{file}: the input is a {kind}; allowed: {', '.join(kinds)}")
    return kinds[kind]


def _output(file: str | Path, session: Any) -> str:
    """Return the name of the one output that can be rows of embeddings; a column of norms beside it is none."""
    outputs = session.get_outputs()
    rows = [o.name for o in outputs if len(o.shape) == 2 and o.shape[1] != 1]
    if len(rows) != 1:
        found = ", ".join(f"{o.name} {o.shape}" for o in outputs)
        raise ValueError(f"{file}: outputs {found}; allowed: exactly one of shape (N, d)")
    return rows[0]


def _run(file: str | Path, session: Any, name: str, output: str, x: np.ndarray) -> np.ndarray:
    try:
        rows = session.run([output], {name: x})[0]
    except Exception as error:  # as above
        raise ValueError(f"{file}: does not run on faces {x.shape}: {_short(error)}") from error
    if rows.ndim != 2 or len(rows) != len(x):
        raise ValueError(f"{file}: gives {rows.shape} for faces {x.shape}; allowed: one row a face")
    return rows.astype(np.float32)


def _probe(file: str | Path, run: Callable[[np.ndarray], np.ndarray], batch: int, size_px: int) -> int:
    rows = run(np.zeros((batch, 3, size_px, size_px), np.float32))
    if not np.isfinite(rows).all():
        raise ValueError(f"{file}: gives NaN or infinity for a blank face; allowed: finite rows")
    return rows.shape[1]


def _check_graph(file: str | Path, card_file: str | Path, card: Card) -> None:
    onnx = _library("onnx")
    try:
        graph = onnx.load(str(file), load_external_data=False).graph
    except Exception as error:  # protobuf's kinds differ between its versions
        raise ValueError(f"{file}: not an ONNX file: {_short(error)}") from error
    if any(t.data_location == onnx.TensorProto.EXTERNAL for t in graph.initializer):
        raise ValueError(
            f"{file}: keeps its weights in another file; allowed: one file (onnx.save(onnx.load(OLD), NEW))"
        )
    first = arithmetic_first(graph)
    if first and card.normalises and not card.graph_normalises:
        raise ValueError(
            f"{file}: the graph already normalises ({', '.join(first)}), and so does its card {card_file} "
            f'(mean {card.mean}, std {card.std}); allowed: mean 0 and std 1, or "graph_normalises": true where both '
            "are meant"
        )


def arithmetic_first(graph: Any) -> list[str]:
    """Return the arithmetic with constants that a graph does on its image before anything else, in order.

    Follows the image from the input through whatever only moves or casts it; the names of nodes do not matter.
    """
    onnx = _library("onnx")
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


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
