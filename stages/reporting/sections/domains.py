"""How far images of one person lie apart in each domain."""

from collections.abc import Mapping

from stages.common import params, recognisers
from stages.common.images import Shards
from stages.common.params import Network
from stages.reporting import figures, spread, tables
from stages.reporting.blocks import Block, Claim, Figures, Heading, Picture, Text
from stages.reporting.prose import say
from stages.reporting.sections.inputs import DATA, Inputs
from stages.reporting.sections.parameters import again
from stages.settings.generate import Generate

Distances = Mapping[str, Mapping[str, float]]  # value, low, high by domain, studio first


def embedding_map(inputs: Inputs) -> list[Block]:
    """Show how the images of a few people of each domain lie to each other, as the gallery's recogniser sees them."""
    shards = {"studio": Shards(DATA / "generate", "plain-*.arrow")}
    if params.load("generate", Generate).mixup.widths():
        shards["identity mixup"] = Shards(DATA / "generate", "mixup-*.arrow")
    if "wild" in inputs.values.get("sets", {}):
        shards["wild"] = Shards(DATA / "sets" / "wild")
    recogniser = recognisers.load(params.load("embed", Network))
    size = inputs.cfg.figures.map
    domains = spread.embed_map(shards, recogniser, size.identities, size.images)
    file = figures.embedding_map(domains, inputs.folder / "map.png")
    distance = {name: images.distance for name, images in domains.items()}
    text = say("map", distances=distances(distance, {name: images.people for name, images in domains.items()}))
    picture = Picture(file, say("map figure"), say("alt map", domains=", ".join(domains)))
    return [*claims(inputs, distance), Heading("Map of the embeddings"), Text(text), Figures([picture], wide=True)]


def distances(distance: Distances, people: Mapping[str, int]) -> str:
    """Say how far images of one person lie apart in each domain."""
    said = [say("map distance", domain=name, **entry, people=people[name]) for name, entry in distance.items()]
    return ", ".join(said)


def claims(inputs: Inputs, distance: Distances) -> list[Block]:
    """Say whether SynFace's findings hold here: synthetic people are too narrow, and mixup widens them."""
    made = again({"report": {"figures": inputs.values["report"]["figures"]}}, "dvc repro -f -s report")
    asked = {
        ("studio", "wild"): {-1: "narrower", 0: "alike", 1: "wider"},
        ("identity mixup", "studio"): {-1: "mixup narrower", 0: "mixup alike", 1: "mixup wider"},
    }
    sides = {
        (of, beside): side_of(distance[of], distance[beside]) for of, beside in asked if {of, beside} <= {*distance}
    }
    return [
        Claim(
            tables.number(distance[of], scale=1, places=2),
            say("claim map unit", domain=of),
            say("claim map", domain=beside, **distance[beside]),
            say(f"map {asked[of, beside][side]}"),
            side != 0,
            [("map of the embeddings", inputs.folder / "map.png")],
            made,
        )
        for (of, beside), side in sides.items()
    ]


def side_of(a: Mapping[str, float], b: Mapping[str, float]) -> int:
    """Return 1 where the interval of a lies above that of b, -1 where it lies below, 0 where they overlap."""
    return int(a["low"] > b["high"]) - int(a["high"] < b["low"])
