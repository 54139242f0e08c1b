"""Train a recogniser on one variant, once per seed.

torchrun --nproc-per-node=auto -m stages.train NAME

reads   data/variants/NAME/manifest.arrow and the image shards it lists
writes  data/train/NAME/seed-<s>.safetensors with a JSON card each; loss.json, the mean loss by tenths of the training
"""

from pathlib import Path

from stages.common import artifacts, images, params, ranks, stage
from stages.recognisers import embedded
from stages.settings.train import Train
from stages.training import fit
from stages.training.samples import Samples, read


def train(samples: Samples, cfg: Train, name: str, folder: Path) -> None:
    """Train every seed that `folder` does not hold yet; ranks take whole seeds, so one and many write the same bytes.

    Raises ValueError when a loss is not finite.
    """

    def work(seed: int) -> None:
        weights, loss = folder / f"seed-{seed}.safetensors", loss_file(folder, seed)
        if weights.exists() and loss.exists():
            return
        net, losses = fit.fit(samples, cfg, seed)
        seen = {"variant": name, "seed": seed, "classes": samples.classes, "samples": cfg.samples}
        if samples.frame_px != images.FRAME_PX:
            seen["frame_px"] = samples.frame_px
        embedded.save(weights, net, {**cfg.card(), **seen})
        artifacts.write_json(loss, losses)  # last: it marks the seed as done

    ranks.share(cfg.seeds, work, f"train {name}")


def loss_file(folder: Path, seed: int) -> Path:
    """Return where a finished seed leaves its losses, hidden from the stage's output."""
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
    return f"train {name}: {len(cfg.seeds)} seeds on {len(samples.faces)} images, loss {last:.2f} -> data/train/{name}"


if __name__ == "__main__":
    stage.run(main)
