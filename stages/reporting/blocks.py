"""The blocks of which the report, and the pages of the tools, are made; `page` and `document` write them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from stages.reporting.tables import Cell, Table


@dataclass(frozen=True)
class Heading:
    """A section's title."""

    text: str


@dataclass(frozen=True)
class Text:
    """A paragraph; with `key` it is the sentence that nobody must miss."""

    text: str
    key: bool = False


class Picture(NamedTuple):
    """A figure's file, the text below it, and what is seen in it, for whoever does not see it."""

    file: Path
    caption: str = ""
    alt: str = ""


@dataclass(frozen=True)
class Figures:
    """Pictures side by side where there is room. `photos` keep their colours on a dark page."""

    items: "Sequence[Picture | tuple[Path, str]]"
    photos: bool = False
    wide: bool = False

    @property
    def pictures(self) -> list[Picture]:
        """Return the items, all with a text for whoever does not see them."""
        return [item if isinstance(item, Picture) else Picture(*item) for item in self.items]


@dataclass(frozen=True)
class Folded:
    """Blocks that open when their summary is clicked."""

    summary: str
    blocks: "list[Block]"


@dataclass(frozen=True)
class Verbatim:
    """Text as it stands."""

    text: str


@dataclass(frozen=True)
class Claim:
    """What was found: a number, in words with its verdict, and where the evidence is.

    clear: whether it is more than luck. evidence: (label, target); a target is the anchor of a row, or a figure.
    again: what it depends on, and the command that makes it again. detail: whether it only adds to another claim.
    """

    number: Cell
    unit: str
    sentence: str
    verdict: str
    clear: bool
    evidence: Sequence[tuple[str, str | Path]] = ()
    again: "list[Block]" = field(default_factory=list)
    detail: bool = False


Block = Heading | Text | Table | Figures | Folded | Verbatim | Claim
