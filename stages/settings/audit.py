"""The `audit` section of params.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from stages.common.params import NONE, Network, PathOrNone, Recogniser, Seed, check_network, check_path, settings


@settings
class Capacity:
    """How many identities fit: the verification threshold's false match rate, and the share of confused probes."""

    false_match_rate: Annotated[float, Field(ge=1e-9, lt=1)]
    confused: Annotated[float, Field(ge=1e-9, lt=1)]


@settings
class Witness:
    """A network of other people's that judges beside the judge, given as every network is; or `none` in both keys."""

    recogniser: Literal[Recogniser, "none"]
    network: PathOrNone

    def __post_init__(self) -> None:
        """Refuse a folder that nobody reads, and a recogniser without the one that it reads."""
        check_network(self.recogniser, self.network)

    def chosen(self) -> Network | None:
        """Return the network, None where there is no witness."""
        return None if self.recogniser == NONE else Network(recogniser=self.recogniser, network=self.network)


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
    witness: Witness
    unrelated: Unrelated
    calibration_identities: Annotated[int, Field(ge=4, le=100_000)]
    capacity: Capacity
    seed: Seed
