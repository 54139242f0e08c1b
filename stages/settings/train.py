"""The `train` section of params.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from stages.common.errors import InputError
from stages.common.params import Fraction, LearningRate, NonNegative, Positive, Seed, SizePx, settings

Channels = Annotated[int, Field(ge=1, le=8192)]


@settings
class Levels:
    """Channels of the four levels, and for `iresnet` their blocks."""

    widths: Annotated[list[Channels], Field(min_length=4, max_length=4)]
    blocks: Annotated[list[Annotated[int, Field(ge=1, le=1000)]], Field(min_length=4, max_length=4)]


@settings
class Augmentation:
    """How faces are varied while training: `jitter` is an amount, 0 for none, the others are shares of the faces."""

    flip: Fraction = 0.5
    jitter: Annotated[float, Field(ge=0, le=10)] = 1.0
    crop: Fraction = 0.0
    low_resolution: Fraction = 0.0
    photometric: Fraction = 0.0
    erasing: Fraction = 0.0


@settings
class Train:
    """How a recogniser is trained, once per seed."""

    backbone: Literal["compact", "iresnet"]
    fold_stem: bool
    levels: Levels
    squeeze_excitation: bool
    embedding_size: Channels
    size_px: SizePx
    colour: Literal["rgb", "grey"]
    head: Literal["cosface", "arcface"]
    scale: Positive
    margin: Annotated[float, Field(ge=0, le=2)]
    decorrelation: NonNegative
    samples: Annotated[int, Field(ge=1, le=10_000_000_000)]
    batch: Annotated[int, Field(ge=2, le=65_536)]
    learning_rate: LearningRate
    weight_decay: Annotated[float, Field(ge=0, le=10)]
    seeds: Annotated[list[Seed], Field(min_length=1, max_length=100)]

    def card(self) -> dict[str, object]:
        """Return what rebuilds the network, for its model card."""
        card: dict[str, object] = {
            "architecture": self.backbone,
            "widths": list(self.levels.widths),
            "embedding_size": self.embedding_size,
            "size_px": self.size_px,
            "colour": self.colour,
        }
        if self.backbone == "compact":
            card |= {"fold_stem": self.fold_stem}
        else:
            card |= {"blocks": list(self.levels.blocks), "squeeze_excitation": self.squeeze_excitation}
        return card

    def __post_init__(self) -> None:
        """Refuse what one key alone cannot show."""
        if len(set(self.seeds)) < len(self.seeds):
            raise InputError(None, "a seed twice", key="seeds", value=self.seeds, allowed="different seeds")
        if self.samples < self.batch:
            raise InputError(None, key="samples", value=self.samples, allowed=f"at least one batch of {self.batch}")
