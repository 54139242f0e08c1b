"""Train a recogniser on one variant, once per seed.

torchrun --nproc-per-node=auto -m stages.train NAME

reads   data/variants/NAME/manifest.arrow and the image shards it lists
writes  data/train/NAME/seed-SEED/   a network each
        data/train/NAME/loss.json    the mean loss by tenths of the training
"""

import sys
from pathlib import Path

from tqdm import tqdm

from stages.common import artifacts, images, networks, params, ranks, stage
from stages.settings.train import Train
from stages.training import fit
from stages.training.samples import Samples, read


def train(samples: Samples, cfg: Train, name: str, folder: Path) -> None:
    """Train every seed that `folder` does not hold yet; ranks take whole seeds, so one and many write the same bytes.

    The bar counts the samples of all seeds. Raises ValueError when a loss is not finite.
    """

    def begin(seed: int) -> None:
        if not loss_file(folder, seed).exists():  # a killed training of this seed starts again
            steps_file(folder, seed).unlink(missing_ok=True)

    ranks.share(cfg.seeds, begin, None)
    total, before = len(cfg.seeds) * fit.steps_of(cfg) * cfg.batch, seen_samples(folder, cfg)
    bar = tqdm(desc=f"train {name}", total=total, initial=before, unit="img", unit_scale=True, mininterval=1,
               ncols=80, file=sys.stdout, disable=ranks.rank() != 0)  # fmt: skip

    def work(seed: int) -> None:
        network, loss = folder / f"seed-{seed}", loss_file(folder, seed)
        if network.exists() and loss.exists():
            return
        with steps_file(folder, seed).open("wb", buffering=0) as steps:

            def count_step() -> None:
                steps.write(b".")
                if not bar.disable:
                    bar.update(seen_samples(folder, cfg) - bar.n)

            net, losses = fit.fit(samples, cfg, seed, count_step)
        training = {"variant": name, "seed": seed, "classes": samples.classes, "samples": cfg.samples}
        if samples.frame_px != images.FRAME_PX:
            training["frame_px"] = samples.frame_px
        networks.save(network, net, {**cfg.card(), **training})
        artifacts.write_json(loss, losses)  # last: it marks the seed as done

    with bar:
        ranks.share(cfg.seeds, work, None)
        bar.update(total - bar.n)


def seen_samples(folder: Path, cfg: Train) -> int:
    """Return how many samples the trainings of all seeds have seen, in whichever ranks they run."""
    files = [steps_file(folder, seed) for seed in cfg.seeds]
    return sum(file.stat().st_size for file in files if file.exists()) * cfg.batch


def steps_file(folder: Path, seed: int) -> Path:
    """Return the file to which a training adds a byte for every step, so that rank 0 can count the steps."""
    return folder / f".steps-{seed}"


def loss_file(folder: Path, seed: int) -> Path:
    """Return the file of a finished seed's losses; its hidden name keeps it out of the stage's output."""
    return folder / f".loss-{seed}.json"


def main() -> str:
    """Run the stage for the variant named on the command line."""
    name = stage.name("NAME, a key of `variants`")
    cfg = params.load("train", Train)
    manifest = Path("data/variants") / name / "manifest.arrow"
    samples = read(manifest, Path("data"), cfg.size_px, cfg.colour)
    with ranks.kept(f"train@{name}") as folder:
        train(samples, cfg, name, folder)
        losses = {f"seed-{seed}": artifacts.read_json(loss_file(folder, seed)) for seed in cfg.seeds}
        artifacts.write_json(folder / "loss.json", losses)
        ranks.publish(folder, Path("data/train") / name)
    last = sum(loss[-1] for loss in losses.values()) / len(losses)
    count = f"{len(samples.faces) - len(samples.skipped)} images"
    count += f" ({len(samples.skipped)} unreadable skipped)" if len(samples.skipped) else ""
    return f"train {name}: {len(cfg.seeds)} seeds on {count}, loss {last:.2f} -> data/train/{name}"


if __name__ == "__main__":
    stage.run(main)
