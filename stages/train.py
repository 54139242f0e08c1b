"""Train a recogniser on one variant, once per seed.

torchrun --nproc-per-node=auto -m stages.train NAME

reads   data/variants/NAME/manifest.arrow and the image shards it lists
writes  data/train/NAME/seed-SEED/   a network each
        data/train/NAME/loss.json    the mean loss by tenths of the training
"""

import os
import shutil
import sys
from pathlib import Path

from tqdm import tqdm

from stages.common import artifacts, images, networks, params, ranks, stage
from stages.common.errors import InputError
from stages.common.params import NONE, below_data
from stages.settings.train import Train
from stages.training import fit, selection
from stages.training.collectives import ALONE, Group
from stages.training.learner import Learner
from stages.training.samples import Samples, read
from stages.training.selection import Selection


def train(samples: Samples, cfg: Train, name: str, folder: Path, judges: Selection | None = None) -> None:
    """Train every seed that `folder` does not hold yet; the bar counts the samples of all seeds.

    Ranks take whole seeds, so that one and many write the same bytes, or all ranks train one seed after the other.
    A training that was killed goes on from its newest checkpoint. Raises InputError when a loss is not finite.
    """
    alone = cfg.runs.ranks == "seeds"
    group = ALONE if alone else Group(ranks.rank(), ranks.size())
    check_group(cfg, group)
    share = ranks.share if alone else ranks.together

    def begin(seed: int) -> None:
        if not loss_file(folder, seed).exists() and group.rank == 0:
            steps_file(folder, seed).write_bytes(b"")

    share(cfg.runs.seeds, begin, None)
    steps = cfg.steps(samples.main_count)
    total, before = len(cfg.runs.seeds) * steps * cfg.batch, seen_samples(folder, cfg)
    bar = tqdm(desc=f"train {name}", total=total, initial=before, unit="img", unit_scale=True, mininterval=1,
               ncols=80, file=sys.stdout, disable=ranks.rank() != 0)  # fmt: skip

    def work(seed: int) -> None:
        network, loss = folder / f"seed-{seed}", loss_file(folder, seed)
        if network.exists() and loss.exists():
            return

        def count(learner: Learner) -> None:
            if group.rank == 0:
                os.truncate(steps_file(folder, seed), learner.step)
            if not bar.disable:
                bar.update(seen_samples(folder, cfg) - bar.n)

        checkpoints = folder / f".checkpoint-{seed}"
        net, losses, scores = fit.fit(samples, cfg, seed, checkpoints, group=group, selection=judges, after_step=count)
        if group.rank == 0:
            training = {"variant": name, "seed": seed, "classes": samples.classes, "samples": steps * cfg.batch}
            if samples.frame_px != images.FRAME_PX:
                training["frame_px"] = samples.frame_px
            if scores:
                training["held_out_accuracy"] = {str(step): accuracy for step, accuracy in scores.items()}
            networks.save(network, net, {**cfg.card(), **training})
            artifacts.write_json(loss, losses)  # last: it marks the seed as done
            shutil.rmtree(checkpoints, ignore_errors=True)

    with bar:
        share(cfg.runs.seeds, work, None)
        bar.update(total - bar.n)


def chosen(samples: Samples, cfg: Train) -> tuple[Samples, Selection | None]:
    """Return the samples to train on, and the people on whom the training is scored while it runs."""
    people, path = cfg.monitor.identities, cfg.monitor.path
    if not people:
        return samples, None
    if path == NONE:
        return selection.hold_out(samples, people)
    size_px, colour = cfg.input.size_px, cfg.input.colour
    return samples, selection.of_set(below_data(path), people, size_px, colour, samples.frame_px)


def check_group(cfg: Train, group: Group) -> None:
    """Raise InputError when a micro-batch has fewer samples than ranks share it."""
    most = cfg.batch // cfg.runs.micro_batches
    if group.size > most:
        allowed = f"at most {most}: batch {cfg.batch} in {cfg.runs.micro_batches} micro-batches"
        raise InputError("params.yaml", f"{group.size} ranks", key="train.batch", value=cfg.batch, allowed=allowed)


def seen_samples(folder: Path, cfg: Train) -> int:
    """Return how many samples the trainings of all seeds have seen, in whichever ranks they run."""
    files = [steps_file(folder, seed) for seed in cfg.runs.seeds]
    return sum(file.stat().st_size for file in files if file.exists()) * cfg.batch


def steps_file(folder: Path, seed: int) -> Path:
    """Return the file that has a byte for every step of a training, so that rank 0 can count the steps of all."""
    return folder / f".steps-{seed}"


def loss_file(folder: Path, seed: int) -> Path:
    """Return the file of a finished seed's losses; its hidden name keeps it out of the stage's output."""
    return folder / f".loss-{seed}.json"


def main() -> str:
    """Run the stage for the variant named on the command line."""
    name = stage.name("NAME, a key of `variants`")
    cfg = params.load("train", Train)
    manifest = Path("data/variants") / name / "manifest.arrow"
    samples = read(
        manifest, Path("data"), cfg.input.size_px, cfg.input.colour, cfg.loader.memory, cfg.loader.unreadable
    )
    samples, judges = chosen(samples, cfg)
    with ranks.kept(f"train@{name}") as folder:
        train(samples, cfg, name, folder, judges)
        losses = {f"seed-{seed}": artifacts.read_json(loss_file(folder, seed)) for seed in cfg.runs.seeds}
        artifacts.write_json(folder / "loss.json", losses)
        ranks.publish(folder, Path("data/train") / name)
    seeds, images = len(losses), len(samples.faces)
    last = sum(loss[-1] for loss in losses.values()) / seeds
    return f"train {name}: {seeds} seeds on {images} images, loss {last:.2f} -> data/train/{name}"


if __name__ == "__main__":
    stage.run(main)
