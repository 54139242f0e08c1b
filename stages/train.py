"""Train a recogniser on one variant, once per seed.

reads   data/variants/NAME/manifest.arrow and the image shards it lists; data/SET, where people of it choose the end
writes  data/train/NAME/seed-SEED/          a network each
        data/train/NAME/loss.json           the mean loss by tenths of the training
        data/curves/NAME/seed-SEED/         DVCLive's files, where monitor.curves asks for them
        data/metrics/NAME/seed-SEED.json    the last points of these curves
"""

import shutil
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from stages.common import artifacts, images, networks, params, ranks, stage
from stages.common.errors import InputError
from stages.common.params import NONE, below_data
from stages.training import fit, heads, selection
from stages.training.collectives import ALONE, Group
from stages.training.learner import Learner
from stages.training.progress import Progress
from stages.training.samples import Samples, read
from stages.training.selection import Selection
from stages.training.settings import Train

NOTHING_LEARNED = 0.99  # of the loss of guessing, which noise and what else is in the loss blur
CURVES, METRICS = ".curves", ".metrics"  # hidden: outputs of their own, so that curves change no network's folder


@dataclass(frozen=True)
class Variant:
    """What is trained on: a variant's name, its samples, and the people on whom the training is scored as it runs.

    unreadable: how many images were skipped.
    """

    name: str
    samples: Samples
    judges: Selection | None = None
    unreadable: int = 0


def has_work(cfg: Train, folder: Path) -> bool:
    """Return whether this rank has a seed to train that `folder` does not hold yet, or shows how far all are."""
    seeds = cfg.runs.seeds if cfg.runs.ranks == "data" else ranks.own(cfg.runs.seeds)
    return ranks.rank() == 0 or not all(loss_file(folder, seed).exists() for seed in seeds)


def train(variant: Variant | None, cfg: Train, folder: Path) -> None:
    """Train every seed that `folder` does not hold yet; the bar counts the samples of all seeds.

    variant: None on a rank that has no work.

    Ranks take whole seeds, so that one and many write the same bytes, or all ranks train one seed after the other.
    A training that was killed goes on from its newest checkpoint. Raises InputError when a loss is not finite.
    """
    seeds, together = cfg.runs.seeds, cfg.runs.ranks == "data"
    group = Group(ranks.rank(), ranks.size()) if together else ALONE
    check_group(cfg, group)
    share = ranks.together if together else ranks.share
    for part in (CURVES, METRICS):
        (folder / part).mkdir(exist_ok=True)
    steps = cfg.steps(variant.samples.main_count) if variant else 0
    progress = Progress(folder, seeds, steps, cfg.batch)

    def begin(seed: int) -> None:
        if group.rank == 0 and not loss_file(folder, seed).exists():
            progress.file(seed).write_bytes(b"")

    def work(seed: int) -> None:
        if not loss_file(folder, seed).exists():
            assert variant
            train_seed(variant, cfg, folder, seed, group, progress)

    share(seeds, begin, None)
    with progress.show(f"train {variant.name}") if variant and ranks.rank() == 0 else nullcontext():
        share(seeds, work, None)
        progress.update()


def train_seed(variant: Variant, cfg: Train, folder: Path, seed: int, group: Group, progress: Progress) -> None:
    """Train one seed, by this rank or by all of a group, and write its network and losses."""
    leads, checkpoints = group.rank == 0, folder / f".checkpoint-{seed}"
    curves = None
    if leads and cfg.monitor.curves:
        from stages.training.curves import Curves  # DVCLive takes a second to import

        steps = cfg.steps(variant.samples.main_count)
        curves = Curves(folder / CURVES / f"seed-{seed}", cfg.monitor.curves, cfg.batch, steps)

    def follow(learner: Learner) -> None:
        if leads:
            progress.count(seed, learner.step)
        if curves:
            curves.follow(learner)

    fitted = fit.fit(variant.samples, cfg, seed, checkpoints, group=group, selection=variant.judges, after_step=follow)
    if leads:
        if curves:
            (curves.folder / "metrics.json").replace(folder / METRICS / f"seed-{seed}.json")
        networks.save(folder / f"seed-{seed}", fitted.net, {**cfg.card(), **described(variant, cfg, seed, fitted)})
        artifacts.write_json(loss_file(folder, seed), fitted.losses)  # last: it marks the seed as done
        shutil.rmtree(checkpoints, ignore_errors=True)


def described(variant: Variant, cfg: Train, seed: int, fitted: fit.Fitted) -> dict[str, object]:
    """Return what a network's card says of its training."""
    samples = variant.samples
    seen = cfg.steps(samples.main_count) * cfg.batch
    card: dict[str, object] = {"variant": variant.name, "seed": seed, "classes": samples.classes, "samples": seen}
    if samples.frame_px != images.FRAME_PX:
        card["frame_px"] = samples.frame_px
    if fitted.scores:
        card["held_out_accuracy"] = {str(step): accuracy for step, accuracy in fitted.scores.items()}
    return card


def check_group(cfg: Train, group: Group) -> None:
    """Raise InputError when a micro-batch has fewer samples than ranks share it."""
    most = cfg.batch // cfg.runs.micro_batches
    if group.size > most:
        allowed = f"at most {most}: batch {cfg.batch} in {cfg.runs.micro_batches} micro-batches"
        raise InputError("params.yaml", f"{group.size} ranks", key="train.batch", value=cfg.batch, allowed=allowed)


def loss_file(folder: Path, seed: int) -> Path:
    """Return the file of a finished seed's losses; its hidden name keeps it out of the stage's output."""
    return folder / f".loss-{seed}.json"


def read_variant(name: str, cfg: Train, kept: Path) -> Variant:
    """Return the samples of a variant, and the people who choose a training's end: of the set named, or held out.

    kept: where ranks note what they learn of the shards.
    """
    manifest, size_px, colour = Path("data/variants") / name / "manifest.arrow", cfg.input.size_px, cfg.input.colour
    samples = read(manifest, Path("data"), size_px, colour, cfg.loader.memory, cfg.loader.unreadable, kept)
    people, path = cfg.monitor.identities, cfg.monitor.path
    judges, unreadable = None, len(samples.skipped)
    if people and path == NONE:
        samples, judges = selection.hold_out(samples, people)
    elif people:
        judges = selection.of_set(below_data(path), people, size_px, colour, samples.frame_px)
    return Variant(name, samples, judges, unreadable)


def reading(loss: float, cfg: Train, classes: int) -> str:
    """Return a training's last loss in words: the number, and whether guessing would have cost no more."""
    head, compared = cfg.head, max(2, round(cfg.compute.centres * classes))
    guess = heads.guessing(head.name, compared, head.scale, head.margin, **head.options)
    learned = "" if loss < NOTHING_LEARNED * guess else f", no better than guessing ({guess:.2f})"
    return f"loss {loss:.2f}{learned}"


def main() -> str:
    """Run the stage for the variant named on the command line."""
    name = stage.name("NAME, a key of `variants`")
    cfg = params.load("train", Train)
    with ranks.kept(f"train@{name}") as folder:
        variant = read_variant(name, cfg, folder) if has_work(cfg, folder) else None
        train(variant, cfg, folder)
        losses = {f"seed-{seed}": artifacts.read_json(loss_file(folder, seed)) for seed in cfg.runs.seeds}
        artifacts.write_json(folder / "loss.json", losses)
        for part, output in {"": "train", CURVES: "curves", METRICS: "metrics"}.items():
            ranks.publish(folder / part, Path("data") / output / name)
    if variant is None:
        return ""  # rank 0, which prints the line, always has work
    samples, seeds = variant.samples, len(losses)
    last = sum(loss[-1] for loss in losses.values()) / seeds
    count = f"{len(samples.faces) - len(samples.skipped)} images"
    count += f" ({variant.unreadable} unreadable skipped)" if variant.unreadable else ""
    return f"train {name}: {seeds} seeds on {count}, {reading(last, cfg, samples.classes)} -> data/train/{name}"


if __name__ == "__main__":
    stage.run(main)
