"""How far images of one person lie apart in each domain."""

from collections.abc import Mapping

from stages.common import params, recognisers
from stages.common.images import Shards
from stages.common.params import Network
from stages.reporting import figures, spread
from stages.reporting.page import Block, Figures, Heading, Text
from stages.reporting.prose import say
from stages.reporting.sections.inputs import DATA, Inputs
from stages.settings.generate import Generate


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
    people = {name: images.people for name, images in domains.items()}
    text = widths({name: images.distance for name, images in domains.items()}, people)
    return [Heading("Map of the embeddings"), Text(text), Figures([(file, say("map figure"))], wide=True)]


def widths(distance: Mapping[str, Mapping[str, float]], people: Mapping[str, int]) -> str:
    """Say how far images of one person lie apart in each domain, and whether SynFace's findings hold here.

    distance: {value, low, high} by domain, studio first; the intervals decide.
    """
    verdicts, studio = [], distance["studio"]
    if "wild" in distance:
        side = {-1: "narrower", 0: "alike", 1: "wider"}[side_of(studio, distance["wild"])]
        verdicts.append(say(f"map {side}"))
    if "identity mixup" in distance:
        wider = side_of(distance["identity mixup"], studio) > 0
        verdicts.append(say(f"map mixup {'wider' if wider else 'not wider'}"))
    distances = [say("map distance", domain=name, **entry, people=people[name]) for name, entry in distance.items()]
    return say("map", verdict=" ".join(verdicts), distances=", ".join(distances))


def side_of(a: Mapping[str, float], b: Mapping[str, float]) -> int:
    """Return 1 where the interval of a lies above that of b, -1 where it lies below, 0 where they overlap."""
    return int(a["low"] > b["high"]) - int(a["high"] < b["low"])
