"""What the run is about and what was found: what is clear first, then what may be luck."""

from collections.abc import Sequence

from stages.reporting.blocks import Block, Claim, Folded, Heading, Text
from stages.reporting.prose import say
from stages.reporting.sections.inputs import Inputs


def opened(inputs: Inputs, blocks: Sequence[Block]) -> list[Block]:
    """Return the page: what it is about, the claims of its sections, then the sections without them."""
    claims = [block for block in blocks if isinstance(block, Claim)]
    clear, unclear = ([claim for claim in claims if claim.clear == kind] for kind in (True, False))
    return [
        Text(about(inputs), key=True),
        *([Heading("What is clear"), Text(say("found clear")), *_listed(clear)] if clear else []),
        *([Heading("What may be luck"), Text(say("found unclear")), *_listed(unclear)] if unclear else []),
        *(block for block in blocks if not isinstance(block, Claim)),
    ]


def _listed(claims: Sequence[Claim]) -> list[Block]:
    """Return the claims, and below them, folded, those that only add to them."""
    details: list[Block] = [claim for claim in claims if claim.detail]
    folded = [Folded(say("found details", count=len(details)), details)] if details else []
    return [*(claim for claim in claims if not claim.detail), *folded]


def about(inputs: Inputs) -> str:
    """Say what was measured on what, and what the intervals are over."""
    sources = [inputs.values["generate"], *inputs.values["sets"].values()]
    rendered = "everything" if all(source["backend"] == "embedded" for source in sources) else "protocols"
    return f"{say(f'rendered {rendered}')} {say('intervals', confidence=100 * inputs.confidence)}"
