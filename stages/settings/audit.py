"""The `audit` section of params.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from stages.common.params import Network, PathOrNone, Seed, check_path, settings


@settings
class Capacity:
    """How many identities fit: the verification threshold's false match rate, and the share of confused probes."""

    false_match_rate: Annotated[float, Field(ge=1e-9, lt=1)]
    confused: Annotated[float, Field(ge=1e-9, lt=1)]


@settings
class Unrelated:
    """Who is known to be nobody of the gallery: studio portraits of `embedded`, or the `set` at `path`, sets/NAME."""

    backend: Literal["embedded", "set"]
    path: PathOrNone

    def __post_init__(self) -> None:
        """Refuse a path without need, and the need of one without a path."""
        check_path(self.backend, self.path)


@settings
class Audit:
    """What the judge measures, and what it throws out: images below `min_centre_cosine` (-1: none)."""

    min_centre_cosine: Annotated[float, Field(ge=-1, le=1)]
    false_match_rate: Annotated[float, Field(ge=1e-9, lt=1)]
    duplicate_cosine: Annotated[float, Field(gt=0, le=1)]
    judge: Network
    unrelated: Unrelated
    calibration_identities: Annotated[int, Field(ge=4, le=100_000)]
    capacity: Capacity
    seed: Seed
