"""Any ONNX network (N, 3, h, w) -> (N, d): the recognisers of antelopev2 and buffalo, Arc2Face's, one's own.

Runs on onnxruntime: on CUDA where the installed one offers it, else on the CPU with one thread.
"""

from pathlib import Path

import numpy as np

from stages.common import artifacts, devices
from stages.common.errors import InputError
from stages.foreign import graphs, published
from stages.foreign.published import Published

CHUNK, CHUNK_CUDA = 16, 128  # faces a call where the network leaves the batch free


def load(network: str | Path) -> Published:
    """Return the recogniser in a folder: one graph, its card, and what else holds its weights.

    Raises InputError when a library is missing, when there is no network of one image input and one
    output of rows, when its sizes or its digest are not the card's, or when both it and the card normalise.
    """
    file, card = artifacts.weights_of(network, ".onnx"), published.read(network)
    graph = graphs.examine(file, card.size)
    card.check(file, (graph.height, graph.width), graph.embedding_size)
    card.verify(file, graph.beside)
    if graph.arithmetic and card.normalises and not card.graph_normalises:
        steps = ", ".join(graph.arithmetic[:4])
        normalised = f"{artifacts.CARD} (mean {card.mean}, std {card.std})"
        problem = f"the graph already normalises ({steps}), and so does its card {normalised}"
        raise InputError(file, problem, allowed='mean 0 and std 1, or "graph_normalises": true where both are meant')
    providers = devices.providers()
    session, kind = graphs.session(file, providers), graphs.KINDS[graph.kind]

    def run(x: np.ndarray) -> np.ndarray:
        try:
            return graphs.rows(session.run([graph.output], {graph.input: x.astype(kind)})[0], len(x))
        except Exception as error:  # onnxruntime's own kinds have no common base but this
            raise InputError(file, f"does not run on faces {x.shape}: {graphs.reason(error)}") from error

    chunk = graph.batch or (CHUNK if providers == [devices.CPU] else CHUNK_CUDA)
    return Published(card, (graph.height, graph.width), graph.embedding_size, chunk, run)
