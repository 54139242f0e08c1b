"""What can be told of the networks in params.yaml from their files' headers, before anything runs."""

from pathlib import Path
from typing import Any

from stages.common import artifacts, params
from stages.foreign import checkpoints, graphs
from stages.settings.pack import Pack

ARC2FACE = 512  # numbers in a row of Arc2Face's own ArcFace network
LAST = {"fc.weight": "conv1.weight", "output_layer.3.weight": "input_layer.0.weight"}  # layers, first ones beside them


def check(file: Path, values: dict[str, Any]) -> None:
    """Raise ValueError when a stage would not see a change of a network, or a generator cannot take the rows given.

    What `pretrain` has not made yet, or a header does not say, is found out later.
    """
    embed, generate = values["embed"], values["generate"]
    asked = {"embed": embed, "audit.judge": values["audit"]["judge"]}
    for key, network in {**asked, "generate.attributes.quality": generate["attributes"]["quality"]}.items():
        weights = Path(network["weights"])
        if network["recogniser"] == "onnx" and weights.is_file() and (others := graphs.header(weights)["beside"]):
            raise ValueError(
                f"{file}: {key}.weights = {str(weights)!r} keeps its weights in {others[0]} beside it; allowed: the "
                "folder of both, with no other network in it, so that stages depend on both"
            )
    given = _given(embed["recogniser"], Path(embed["weights"]), Path(embed["card"]))
    taken = _taken(generate["backend"], Path(generate["weights"]))
    pack = params.check("pack", values["pack"], Pack, file)
    if given is not None:
        try:
            pack.check_size(given)
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from error
    if None not in (given, taken) and given != taken:
        raise ValueError(
            f"{file}: embed.weights = {embed['weights']!r} gives rows of size {given}; allowed by generate.backend = "
            f"{generate['backend']!r} with weights {generate['weights']!r}: {taken}"
        )


def _given(recogniser: str, weights: Path, card: Path) -> int | None:
    if recogniser == "embedded":
        return _on_card(card)
    if recogniser == "onnx":
        return graphs.header(graphs.whole(weights))["embedding_size"]
    shapes = checkpoints.shapes(weights)
    rows = (
        shape[0]
        for last, first in LAST.items()
        for key, shape in shapes.items()
        if key.endswith(last) and shape and key.removesuffix(last) + first in shapes
    )
    return next(rows, None)


def _taken(backend: str, weights: Path) -> int | None:
    if backend == "arc2face":
        return ARC2FACE
    if backend == "embedded":
        return _on_card(weights / "recogniser.json")
    file = weights / "vec2face_generator.pth"
    shape = checkpoints.shapes(file).get("latent_prior_proj_f.weight", []) if file.is_file() else []
    return shape[1] if len(shape) == 2 else None


def _on_card(file: Path) -> int | None:
    card = artifacts.read_json(file) if file.is_file() else None
    return card.get("embedding_size") if isinstance(card, dict) else None
