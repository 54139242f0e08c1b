"""The `report` section of params.yaml."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from stages.common.errors import InputError
from stages.common.params import Name, settings

Shown = Annotated[int, Field(ge=1, le=100)]  # a figure has room for so many
WILD = "wild"  # the mean of all protocols of that domain


@settings
class Question:
    """A contrast: the accuracy of variant `of` less that of `against`, on a protocol or on the mean of the wild ones.

    With `minus`, the same difference on that protocol is subtracted. `expected` is its sign, 0 where none is expected.
    The verdict on a `primary` one is not corrected for the number of contrasts, those on the others are.
    """

    of: Name
    against: Name
    on: Name = WILD
    minus: Name | None = None
    expected: Literal[-1, 0, 1]
    primary: bool = False

    def __post_init__(self) -> None:
        """Refuse a difference that is zero whatever was measured."""
        for key, value, other in (("against", self.against, self.of), ("minus", self.minus, self.on)):
            if value == other:
                raise InputError(None, "leaves nothing to compare", key=key, value=value, allowed="another name")


@settings
class Pictures:
    """How much a figure shows: so many people, and images of each."""

    identities: Shown
    images: Shown


@settings
class Figures:
    """Rows and columns of each variant's face sheet; people on the map of embeddings and images of each."""

    sheet: Pictures
    map: Pictures


@settings
class Report:
    """What the report shows, and what it asks."""

    figures: Figures
    contrasts: Annotated[dict[Name, Question], Field(max_length=100)]

    def __post_init__(self) -> None:
        """Refuse more than one primary contrast: it is primary because its verdict needs no correction."""
        primary = [name for name, contrast in self.contrasts.items() if contrast.primary]
        if len(primary) > 1:
            value = ", ".join(primary)
            raise InputError(None, "several are primary", key="contrasts", value=value, allowed="one at most")

    def gap(self) -> set[str]:
        """Return the variants that a contrast compares across two protocols."""
        return {
            name for contrast in self.contrasts.values() if contrast.minus for name in (contrast.of, contrast.against)
        }

    def check_variants(self, known: Iterable[str], file: Path) -> None:
        """Raise ValueError when a contrast names a variant that is not known."""
        self._check(("of", "against"), list(known), file)

    def check_protocols(self, known: Iterable[str], file: Path) -> None:
        """Raise ValueError when a contrast names a protocol that is not known."""
        self._check(("on", "minus"), [WILD, *known], file)

    def _check(self, fields: Sequence[str], known: list[str], file: Path) -> None:
        for key, contrast in self.contrasts.items():
            for field in fields:
                name = getattr(contrast, field)
                if name is not None and name not in known:
                    full_key = f"report.contrasts.{key}.{field}"
                    raise InputError(file, key=full_key, value=name, allowed=", ".join(known))
