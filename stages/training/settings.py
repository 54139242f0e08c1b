"""The `train` section of params.yaml."""

import math
from typing import Annotated, Literal

from pydantic import Field

from stages.common.errors import InputError
from stages.common.params import (
    NONE,
    Fraction,
    LearningRate,
    NonNegative,
    PathOrNone,
    Positive,
    Seed,
    SizePx,
    settings,
)

Channels = Annotated[int, Field(ge=1, le=8192)]
Blocks = Annotated[int, Field(ge=1, le=1000)]


@settings
class Levels:
    """Channels and blocks of the four levels, of `vit` one; `compact` has the same blocks, whatever is said."""

    widths: Annotated[list[Channels], Field(min_length=1, max_length=4)]
    blocks: Annotated[list[Blocks], Field(min_length=1, max_length=4)]


@settings
class Options:
    """What some backbones have and others have not; what is left out is as in stages/backbones."""

    fold_stem: bool
    squeeze_excitation: bool
    dropout: Annotated[float, Field(ge=0, lt=1)]
    expansion: Annotated[float, Field(gt=0, le=16)] | None = None
    heads: Annotated[int, Field(ge=1, le=128)] | None = None
    patch_px: Annotated[int, Field(ge=1, le=128)] | None = None
    drop_path: Annotated[float, Field(ge=0, lt=1)] | None = None
    mask_ratio: Annotated[float, Field(ge=0, lt=1)] | None = None


@settings
class Input:
    """What the network takes: faces of a side, in colour or not."""

    size_px: SizePx
    colour: Literal["rgb", "grey"]


@settings
class Head:
    """The loss; `options` are the head's own, by name, and its paper's where they are not set."""

    name: Literal["cosface", "arcface", "adaface", "magface", "curricularface", "uniface"]
    scale: Positive
    margin: Annotated[float, Field(ge=0, le=2)]
    warm_up: Fraction
    options: dict[str, float]


@settings
class Augment:
    """How training faces are changed: `jitter` multiplies that of the crop, the others are shares of the faces."""

    flip: Fraction
    jitter: Annotated[float, Field(ge=0, le=10)]
    crop: Fraction
    low_res: Fraction
    photometric: Fraction
    erase: Fraction


LEVELS = {"compact": 4, "iresnet": 4, "mobilefacenet": 4, "vit": 1}  # of a backbone
Beta = Annotated[float, Field(ge=0, lt=1)]


@settings
class Optimiser:
    """The optimiser; exempt: gains and offsets do not decay. SGD's momentum is the first of betas."""

    name: Literal["adamw", "sgd"]
    weight_decay: Annotated[float, Field(ge=0, le=10)]
    exempt: bool
    betas: Annotated[list[Beta], Field(min_length=2, max_length=2)]


@settings
class Schedule:
    """How the learning rate goes; warm_up and drops are passes where `epochs` is set, else shares of the training."""

    name: Literal["cosine", "polynomial", "steps"]
    warm_up: NonNegative
    power: Positive
    drops: Annotated[list[NonNegative], Field(max_length=100)]
    factor: Annotated[float, Field(gt=0, le=1)]


@settings
class Runs:
    """Trainings, one a seed; ranks take whole seeds, or share the data of one seed after the other."""

    seeds: Annotated[list[Seed], Field(min_length=1, max_length=100)]
    ranks: Literal["seeds", "data"]
    micro_batches: Annotated[int, Field(ge=1, le=65_536)]
    checkpoint_s: Annotated[float, Field(ge=0, le=1e6)]

    def __post_init__(self) -> None:
        """Refuse a seed twice."""
        if len(set(self.seeds)) < len(self.seeds):
            raise InputError(None, "a seed twice", key="seeds", value=self.seeds, allowed="different seeds")


@settings
class Compute:
    """How a step is computed.

    mixed: in bfloat16, on a GPU without it in float16 with a scaler. recompute: blocks keep no activations for the
    backward pass. centres: the share of class centres in each step's softmax (PartialFC).
    """

    precision: Literal["mixed", "full"]
    compile: bool
    recompute: bool
    centres: Annotated[float, Field(gt=0, le=1)]


@settings
class Loader:
    """Where batches come from; psi, the ratio of domain mixup, is drawn for each sample or for each batch.

    memory: faces are kept decoded while they fit this share of the machine's. workers: processes that prepare batches.
    """

    memory: Fraction
    workers: Annotated[int, Field(ge=0, le=256)]
    unreadable: Literal["refuse", "skip"]
    psi: Literal["sample", "batch"]


@settings
class Monitor:
    """What is watched of a training: a point of its curves every so many steps, 0 for none; people who choose its end.

    These people, held out of the variant or of the set at `path`, are scored so many times; 0: the last step is kept.
    """

    curves: Annotated[int, Field(ge=0, le=1_000_000)]
    path: PathOrNone
    identities: Annotated[int, Field(ge=0, le=100_000)]
    times: Annotated[int, Field(ge=1, le=1000)]

    def __post_init__(self) -> None:
        """Refuse a set of nobody, and one person, who makes no impostor pair."""
        if self.identities == 1 or (self.path != NONE and not self.identities):
            raise InputError(None, key="identities", value=self.identities, allowed="at least 2")


@settings
class Train:
    """How a recogniser is trained, once per seed."""

    backbone: Literal["compact", "iresnet", "mobilefacenet", "vit"]
    levels: Levels
    options: Options
    embedding_size: Channels
    input: Input
    start: PathOrNone
    head: Head
    decorrelation: NonNegative
    augment: Augment
    samples: Annotated[int, Field(ge=1, le=10_000_000_000)]
    epochs: Annotated[float, Field(ge=0, le=100_000)]
    batch: Annotated[int, Field(ge=2, le=1_000_000)]
    learning_rate: LearningRate
    optimiser: Optimiser
    schedule: Schedule
    runs: Runs
    compute: Compute
    loader: Loader
    monitor: Monitor

    def card(self) -> dict[str, object]:
        """Return what rebuilds the network, for its model card."""
        card: dict[str, object] = {
            "architecture": self.backbone,
            "widths": list(self.levels.widths),
            "embedding_size": self.embedding_size,
            "size_px": self.input.size_px,
            "colour": self.input.colour,
        }
        if self.backbone != "compact":
            card |= {"blocks": list(self.levels.blocks)}
        return card | {name: value for name, value in self._options().items() if value is not None}

    def _options(self) -> dict[str, float | None]:
        options = self.options
        if self.backbone == "compact":
            return {"fold_stem": options.fold_stem}
        if self.backbone == "iresnet":
            return {"squeeze_excitation": options.squeeze_excitation, "dropout": options.dropout}
        if self.backbone == "mobilefacenet":
            return {"expansion": options.expansion}
        return {
            "heads": options.heads, "patch_px": options.patch_px, "drop_path": options.drop_path,
            "mask_ratio": options.mask_ratio,
        }  # fmt: skip

    def _check_schedule(self) -> None:
        length = self.epochs or 1
        allowed = f"less than epochs = {length:g}" if self.epochs else "less than 1, a share of the training"
        if self.schedule.warm_up >= length:
            raise InputError(None, key="schedule.warm_up", value=self.schedule.warm_up, allowed=allowed)
        if max(self.schedule.drops, default=0) >= length:
            raise InputError(None, key="schedule.drops", value=self.schedule.drops, allowed=f"each {allowed}")

    def steps(self, images: int) -> int:
        """Return how many batches a training on so many images sees; they are whole."""
        return math.ceil((self.epochs * images if self.epochs else self.samples) / self.batch)

    def __post_init__(self) -> None:
        """Refuse what one key alone cannot show."""
        if not self.epochs and self.samples < self.batch:
            raise InputError(None, key="samples", value=self.samples, allowed=f"at least one batch of {self.batch}")
        if self.runs.micro_batches > (most := self.batch // 2):
            allowed = f"at most {most}, so that each has two samples of a batch of {self.batch}"
            raise InputError(None, key="runs.micro_batches", value=self.runs.micro_batches, allowed=allowed)
        self._check_schedule()
        for name, levels in (("widths", self.levels.widths), ("blocks", self.levels.blocks)):
            if len(levels) != (count := LEVELS[self.backbone]):
                raise InputError(None, key=f"levels.{name}", value=levels, allowed=f"{count} of {self.backbone}")
        if self.compute.recompute and self.backbone == "compact":
            raise InputError(None, "compact has too few blocks", key="compute.recompute", value=True, allowed="false")
