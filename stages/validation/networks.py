"""Check the networks of params.yaml by their files' headers, before anything runs."""

from pathlib import Path
from typing import Any

from stages.common import artifacts, params
from stages.common.errors import InputError
from stages.foreign import checkpoints, graphs, packaged
from stages.settings.pack import Pack

ARC2FACE = 512  # numbers in a row of Arc2Face's own ArcFace network
LAST = {"fc.weight": "conv1.weight", "output_layer.3.weight": "input_layer.0.weight"}  # layers, first ones beside them


def check(file: Path, values: dict[str, Any]) -> None:
    """Raise ValueError when a network is not whole, or nothing can be done with the rows that `embed` gives.

    What `pretrain` has not made yet, or a header does not say, is found out later.
    """
    embed, generate = values["embed"], values["generate"]
    for key, network in _named(values).items():
        if network["recogniser"] == params.PACKAGED:
            _packaged(file, key)
        elif network["recogniser"] not in ("embedded", params.NONE):
            _weights(network)
    width = _width(embed)
    wanted = _wanted(generate["backend"], params.below_data(generate["weights"]))
    pack = params.check("pack", values["pack"], Pack, file)
    if width is not None:
        pack.check_size(width)
    if None not in (width, wanted) and width != wanted:
        allowed = f"a network of {wanted}, which generate.backend {generate['backend']} takes"
        raise InputError(file, f"rows of {width}", key="embed.network", value=embed["network"], allowed=allowed)


def _named(values: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return every network of params.yaml by its key."""
    audit = {f"audit.{name}": values["audit"][name] for name in ("judge", "witness")}
    others = {f"baselines.networks.{name}": network for name, network in values["baselines"]["networks"].items()}
    return {"embed": values["embed"], "generate.quality": values["generate"]["quality"], **audit, **others}


def _packaged(file: Path, key: str) -> None:
    try:
        packaged.weights()
    except InputError as error:
        raise InputError(file, error.problem, key=f"{key}.recogniser", value=params.PACKAGED) from error


def _weights(network: dict[str, Any]) -> Path:
    suffixes = checkpoints.SUFFIXES if network["recogniser"] == "iresnet" else (".onnx",)
    return artifacts.weights_of(params.below_data(network["network"]), *suffixes)


def _width(network: dict[str, Any]) -> int | None:
    """Return how many numbers a network's row has, as its file's header says."""
    if network["recogniser"] == "embedded":
        return _on_card(params.below_data(network["network"]))
    if network["recogniser"] == params.PACKAGED:
        return packaged.EMBEDDING_SIZE
    if network["recogniser"] == "onnx":
        return graphs.header(_weights(network))["embedding_size"]
    shapes = checkpoints.shapes(_weights(network))
    rows = (
        shape[0]
        for last, first in LAST.items()
        for key, shape in shapes.items()
        if key.endswith(last) and shape and key.removesuffix(last) + first in shapes
    )
    return next(rows, None)


def _wanted(backend: str, weights: Path) -> int | None:
    """Return how many numbers a generator wants in a row."""
    if backend == "arc2face":
        return ARC2FACE
    if backend == "embedded":
        return _on_card(weights / "recogniser")
    file = weights / "vec2face_generator.pth"
    shape = checkpoints.shapes(file).get("latent_prior_proj_f.weight", []) if file.is_file() else []
    return shape[1] if len(shape) == 2 else None


def _on_card(network: Path) -> int | None:
    file = network / artifacts.CARD
    card = artifacts.read_json(file) if file.is_file() else None
    return card.get("embedding_size") if isinstance(card, dict) else None
